"""What servers and models send, read as it was meant: one place, so that every provider takes the same of them.

Servers that speak one protocol differ in what they make of its edges: a text in parts, arguments that are no text, counts
that are words, calls that share a number. Everything here takes whatever JSON holds and never raises.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from llmspell_core.messages import ToolCall
from llmspell_core.provider.contract import INVALID_JSON

__all__ = [
    "MOST_LEVELS",
    "CallPieces",
    "Seam",
    "arguments_of",
    "count_of",
    "text_of",
    "tool_call_of",
    "whole_characters",
]

MOST_LEVELS = 100
"""How deeply arguments may be nested; more can't be written back as JSON by every package."""
FENCED = re.compile(r"\s*```(?:json)?\s*\n(.*)\n\s*```\s*", re.DOTALL | re.IGNORECASE)
HALF = re.compile("[\ud800-\udfff]")
FIRST_HALF = re.compile("[\ud800-\udbff]$")
NO_CHARACTER = "�"


def whole_characters(text: str) -> str:
    """`text` with U+FFFD for every half of a character: nothing that writes UTF-8 can take a half."""
    if text.isascii() or not HALF.search(text):
        return text
    joined = text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")  # two halves are one
    return HALF.sub(NO_CHARACTER, joined)


class Seam:
    """Texts that come in pieces: a character that was cut in two is put together again."""

    def __init__(self) -> None:
        self._kept = ""

    def join(self, piece: str) -> str:
        """What is whole by now."""
        text, self._kept = self._kept + piece, ""
        if text.isascii():
            return text
        if FIRST_HALF.search(text):
            text, self._kept = text[:-1], text[-1]
        return whole_characters(text)

    def rest(self) -> str:
        """At the end: what nothing followed on."""
        kept, self._kept = self._kept, ""
        return whole_characters(kept)


def text_of(content: Any) -> str:
    """The text of a message's content: a text, nothing, or a list of parts, of which thoughts are not the answer."""
    if isinstance(content, str):
        return content
    if content is None:
        return ""
    if isinstance(content, Mapping):
        kind = content.get("type", "text")
        return text_of(content.get("text")) if kind in {"text", "output_text"} else ""
    if isinstance(content, Iterable):
        return "".join(map(text_of, content))
    inner = getattr(content, "text", None)
    return text_of(inner) if inner is not None else str(content)


def count_of(number: Any) -> int:
    """A count of tokens; 0 for what is none."""
    try:
        return max(0, int(float(number or 0)))
    except (TypeError, ValueError, OverflowError):
        return 0


def arguments_of(arguments: Any) -> dict[str, Any]:
    """A call's arguments, given as JSON or parsed already. Nothing, blanks and null are no arguments.

    JSON within JSON, in a fence, or with line breaks within its strings is read. What is not an object, holds numbers that
    JSON has not, or is nested without end comes back under `INVALID_JSON`, so that the model hears of it.
    """
    value = _parsed(arguments) if isinstance(arguments, str) else arguments
    if isinstance(value, str):
        value = _parsed(value)
    if value is None:
        return {}
    if not isinstance(value, dict) or _levels(value) > MOST_LEVELS:
        return {INVALID_JSON: _shown(arguments)}
    return value


def tool_call_of(call_id: Any, name: Any, arguments: Any) -> ToolCall:
    """A call; without an id it has the id '', which the agent replaces."""
    return ToolCall(_word(call_id), _word(name), arguments_of(arguments))


def _word(value: Any) -> str:
    return "" if value is None else str(value)


def _shown(arguments: Any) -> Any:
    """As it came, as a text: nothing that cannot be written is handed on."""
    if isinstance(arguments, str):
        return arguments
    try:
        return json.dumps(arguments, ensure_ascii=False, default=str)
    except (RecursionError, ValueError):
        return "(nested too deeply)"


def _parsed(text: str) -> Any:
    """The value of a JSON text, None for an empty one; the text itself when it is no JSON."""
    fenced = FENCED.fullmatch(text)
    body = (fenced[1] if fenced else text).strip()
    if not body:
        return None
    try:
        return json.loads(body, strict=False, parse_constant=_no_number, parse_float=_finite)
    except (ValueError, RecursionError):
        return _Unreadable(text)


class _Unreadable:
    """Neither an object nor a text that could be JSON once more."""

    def __init__(self, text: str) -> None:
        self.text = text


def _no_number(word: str) -> Any:
    raise ValueError(f"{word} is no JSON")


def _finite(digits: str) -> float:
    number = float(digits)
    if number in {float("inf"), float("-inf")}:
        raise ValueError(f"{digits} is beyond what a number can hold")
    return number


def _levels(value: Any) -> int:
    """How deeply lists and tables are nested; counted no further than the limit."""
    depth, level = 0, [value]
    while level and depth <= MOST_LEVELS:
        inner = [v for v in level if isinstance(v, dict | list)]
        level = [v for each in inner for v in (each.values() if isinstance(each, dict) else each)]
        depth += bool(inner)
    return depth


@dataclass(slots=True)
class _Partial:
    call_id: str
    name: str = ""
    arguments: str = ""
    is_named: bool = False
    """Whether the id is the server's own."""

    @property
    def is_whole(self) -> bool:
        return bool(self.arguments.strip()) and INVALID_JSON not in arguments_of(self.arguments)


class CallPieces:
    """Puts the calls of a streamed turn together.

    Servers number calls, or give all of them the same number, or none; they repeat ids and names, or send them late, or in
    pieces. A piece begins a new call when it brings another id and a name, or a name after arguments that are complete.
    """

    def __init__(self) -> None:
        self._calls: list[_Partial] = []
        self._by_number: dict[Any, _Partial] = {}

    def add(self, number: Any, call_id: Any, name: Any, arguments: Any) -> _Partial:
        """The call that this piece belongs to, with the piece in it."""
        call_id, name = _word(call_id), _word(name)
        known = self._known(number, call_id)
        call = known if known is not None and not _begins(known, call_id, name) else self._new(number)
        self._by_number[number] = call
        if call_id and not call.is_named:
            call.call_id, call.is_named = call_id, True
        call.name = _longer(call.name, name)
        if isinstance(arguments, str):
            call.arguments += arguments
        elif arguments is not None:
            call.arguments = json.dumps(arguments, ensure_ascii=False, default=str)
        return call

    def _known(self, number: Any, call_id: str) -> _Partial | None:
        if number is not None and number in self._by_number:
            return self._by_number[number]
        same = next((call for call in self._calls if call_id and call.call_id == call_id), None)
        if same is not None or number is not None or not self._calls:
            return same
        return self._calls[-1]

    def _new(self, number: Any) -> _Partial:
        taken = {call.call_id for call in self._calls}
        count = number if isinstance(number, int) else len(self._calls)
        while (call_id := f"call_{count}") in taken:
            count += 1
        self._calls.append(_Partial(call_id))
        return self._calls[-1]

    def finished(self) -> list[ToolCall]:
        return [tool_call_of(call.call_id, call.name, call.arguments) for call in self._calls]

    def __iter__(self) -> Iterator[_Partial]:
        return iter(self._calls)

    def __len__(self) -> int:
        return len(self._calls)


def _begins(known: _Partial, call_id: str, name: str) -> bool:
    if not name:
        return bool(call_id) and known.is_named and call_id != known.call_id and known.is_whole
    if call_id and known.is_named:
        return call_id != known.call_id
    return not call_id and known.is_whole


def _longer(known: str, piece: str) -> str:
    """A name comes once, repeated, growing, or in pieces."""
    if not piece or known == piece:
        return known
    return piece if piece.startswith(known) else known + piece
