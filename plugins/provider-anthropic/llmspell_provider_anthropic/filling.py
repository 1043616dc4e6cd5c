"""JSON of a schema from a server that takes neither forced tools nor schemas, as llama.cpp's over this protocol.

Such a server goes on with an answer that was begun for it. So everything that the schema settles is written here, and the
model is asked for the values alone, one after the other; what it says beyond a value is dropped.
"""

from __future__ import annotations

import json
import re
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from itertools import takewhile
from typing import Any

from llmspell_core.messages import Usage
from llmspell_core.provider import Completion

__all__ = ["Filling"]

Ask = Callable[[str, list[str]], Awaitable[Completion]]
"""What follows on the beginning of an answer, up to one of the stops."""
MAX_ITEMS = 8
NUMBER = re.compile(r"\s*(-?\d+(?:\.\d+)?)")
INTEGER = re.compile(r"\s*(-?\d+)")


class _CutError(Exception):
    """The model's limit came before the end of a value."""


class Filling:
    """One JSON text in the making.

    Attributes:
        text: what is there; not whole when a value did not come to its end.
        usage: of all questions that it took.
    """

    def __init__(self, ask: Ask, question: str) -> None:
        self.text = ""
        self.usage = Usage()
        self._ask = ask
        self._question = question.lower()

    async def fill(self, schema: Mapping[str, Any]) -> str:
        """The text of a value that fits `schema`."""
        with suppress(_CutError):
            await self._value(schema)
        return self.text.lstrip()

    async def _value(self, schema: Mapping[str, Any]) -> None:
        options = schema.get("anyOf") or schema.get("oneOf")
        if "const" in schema:
            self._write(schema["const"])
        elif "enum" in schema:
            self._write(await self._choice(list(schema["enum"])))
        elif options:
            await self._one_of(options)
        else:
            await self._of_type(_type(schema), schema)

    async def _of_type(self, kind: str, schema: Mapping[str, Any]) -> None:
        if kind == "object":
            await self._object(schema)
        elif kind == "array":
            await self._array(schema)
        elif kind in {"integer", "number"}:
            found = (INTEGER if kind == "integer" else NUMBER).match(await self._more([",", "}", "\n"]))
            self.text += f" {found[1] if found else 0}"
        elif kind == "boolean":
            self._write(await self._choice([True, False]))
        elif kind == "null":
            self._write(None)
        else:
            await self._string()

    async def _object(self, schema: Mapping[str, Any], known: Mapping[str, Any] | None = None) -> None:
        """`known`: the properties that are there already, at the front."""
        properties = schema.get("properties", {})
        names = [name for name in schema.get("required") or properties if name not in (known or {})]
        self.text += "" if known else " {"
        for i, name in enumerate(names):
            self.text += (", " if i or known else "") + json.dumps(name) + ":"
            await self._value(properties.get(name, {}))
        self.text += "}"

    async def _one_of(self, options: list[Mapping[str, Any]]) -> None:
        """Objects that differ in a constant are told apart by it; of others the first is taken."""
        first = options[0].get("properties", {})
        for name in (each for each, spec in first.items() if "const" in spec):
            words = [option.get("properties", {}).get(name, {}).get("const") for option in options]
            if None not in words:
                self.text += " {" + json.dumps(name) + ":"
                word = await self._choice(words)
                self._write(word)
                await self._object(options[words.index(word)], {name: word})
                return
        await self._value(next((option for option in options if _type(option) != "null"), options[0]))

    async def _array(self, schema: Mapping[str, Any]) -> None:
        self.text += " ["
        for _ in range(min(int(schema.get("maxItems", MAX_ITEMS)), MAX_ITEMS)):
            await self._value(schema.get("items", {}))
            if not (await self._more(["]"])).lstrip().startswith(","):
                break
            self.text += ","
        self.text = self.text.removesuffix(",") + "]"

    async def _string(self) -> None:
        said = ""
        while True:
            answer = await self._asked(['"'], f' "{said}')
            said += answer.text
            if answer.finish_reason == "length":
                self.text += f' "{said}'
                raise _CutError
            if (len(said) - len(said.rstrip("\\"))) % 2 == 0:
                break
            said += '"'  # the stop was a quotation mark within the string
        self._write(_unescaped(said))

    async def _choice(self, words: list[Any]) -> Any:
        """What the model says, else what the question speaks of, else the first."""
        quote = ' "' if isinstance(words[0], str) else ""
        said = (await self._asked(['"'] if quote else [",", "}"], quote)).text.strip().lower()
        spelled = {word: word.lower() if isinstance(word, str) else json.dumps(word) for word in words}
        best = max(words, key=lambda word: _agreement(spelled[word], said))
        if _agreement(spelled[best], said):
            return best
        return next((word for word in words if spelled[word] in self._question), words[0])

    async def _more(self, stops: list[str]) -> str:
        return (await self._asked(stops)).text

    async def _asked(self, stops: list[str], said: str = "") -> Completion:
        """The continuation alone: some servers repeat what they were given."""
        begun = (self.text + said).lstrip()
        answer = await self._ask(begun, stops)
        self.usage += answer.usage
        answer.text = answer.text.removeprefix(begun)
        return answer

    def _write(self, value: Any) -> None:
        self.text += " " + json.dumps(value, ensure_ascii=False)


def _type(schema: Mapping[str, Any]) -> str:
    kind = schema.get("type", "object" if "properties" in schema else "string")
    return str(next((each for each in kind if each != "null"), "null") if isinstance(kind, list) else kind)


def _agreement(one: str, other: str) -> int:
    """How many letters they begin with alike."""
    return sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], zip(one, other, strict=False)))


def _unescaped(said: str) -> str:
    try:
        return str(json.loads(f'"{said}"', strict=False))
    except ValueError:
        return said
