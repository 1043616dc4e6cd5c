"""Values across the border of the Lua VM.

Every str in this process is a view of bytes, one character (0-255) per byte: the VM is opened with the encoding latin-1
and frames are decoded with it, so text passes through without being decoded or copied twice. Only what leaves the process
is checked to be UTF-8.
"""

from __future__ import annotations

import binascii
import json
import math
import re
from operator import itemgetter
from typing import TYPE_CHECKING, Any

from llmspell_core.script.wire import encoder, parse_json

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = [
    "MAX_DEPTH",
    "MAX_TABLES",
    "BadValue",
    "NoData",
    "Values",
    "bytes_view",
    "dump",
    "is_text",
    "may_hold_lists",
    "portable",
    "whole_text",
]

MAX_DEPTH = 64
MAX_TABLES = 100_000
MAX_INTEGER = 1 << 63

dump = encoder(ascii_only=False)
_first = itemgetter(0)
LARGE, SPARSE = 1 << 16, 64
_EMPTY_LIST = re.compile(r"\[\s*+\]")
_sorted = json.JSONEncoder(separators=(",", ":"), allow_nan=False, ensure_ascii=False, sort_keys=True).encode
_pretty = json.JSONEncoder(indent=2, allow_nan=False, ensure_ascii=False, sort_keys=True).encode


class BadValue(Exception):  # noqa: N818 - it becomes a script's error, with a better name
    """A Lua value that cannot cross."""


class NoData(BadValue):
    """Something in a script's result that is not data. `kind`: function, builder, stream, task, coroutine, object."""

    def __init__(self, path: str, kind: str, name: str = "") -> None:
        what = f"an object ({name})" if name else f"a {kind}"
        super().__init__(f"the script's result{path} is {what}; only plain data can be returned")
        self.kind, self.path, self.name = kind, path, name


class Values:
    """Conversions for one runtime.

    Args:
        runtime: the lupa runtime.
        ending: of the keys that say what is a function or an object; no data has it.
        special: Lua function (table) -> {kind, id, fields} for handles, the size of marked lists, "builder", "task" or "stream"
            for what is nothing but methods, else nil.
        mark: Lua function (table, size, path...) that marks what stands at the path in the table as a list.
        keep: Lua function (function) -> id; stores a callback. `kept`: (id) -> function.
        handle: Lua function (kind, id, fields) -> the handle's table.
    """

    def __init__(self, runtime: Any, ending: str, special: Any, mark: Any, keep: Any, kept: Any, handle: Any) -> None:
        self._table_from = runtime.table_from
        self._table = type(runtime.table())
        self._function = type(keep)
        self._special, self._mark, self._keep, self._kept, self._handle = special, mark, keep, kept, handle
        self._function_key, self._handle_key = f"$fn{ending}", f"$handle{ending}"
        self._marks = False

    # -- out of the VM ----------------------------------------------------------------------------------------------

    def out(self, value: Any, allow: Callable[[str], bool] | None = None, key: str = "") -> Any:
        """Data of an argument. `allow(key)`: may a function stand there? It becomes {"$fn": id}; handles {"$handle": ...}.

        Raises: BadValue.
        """
        return self._walk(value, _Walk(allow, references=True), key, 0)

    def result(self, value: Any) -> Any:
        """Data of what a script returned; objects become their fields. Raises: NoData, which says where, BadValue."""
        try:
            return self._walk(value, _Walk(None, result=True), "", 0)
        except NoData as error:
            raise self._placed(value, error, 0) from None

    def _placed(self, value: Any, problem: NoData, depth: int) -> NoData:
        """The problem with the first thing in `value` that is no data, and its place as `.key[1]`."""
        if type(value) is not self._table:
            return problem
        special = self._special(value)
        if isinstance(special, str):
            return NoData("", special)
        for key, k, item in sorted(((_key(k), k, v) for k, v in value.items()), key=_first):
            try:
                self._walk(item, _Walk(None, result=True), "", depth + 1)
            except NoData as error:
                inner = self._placed(item, error, depth + 1)
                place = f"[{key}]" if type(k) is int else f".{key}"
                return NoData(place + inner.path, inner.kind, inner.name)
        return problem

    def encode(self, value: Any, *, pretty: bool = False) -> str:
        """JSON text of a value, keys sorted. Raises: BadValue."""
        data = self._walk(value, _Walk(None), "", 0)
        return _pretty(data) if pretty else _sorted(data)

    def _walk(self, value: Any, walk: _Walk, key: str, depth: int) -> Any:
        kind = type(value)
        if value is None or kind is str or kind is int or kind is bool:
            return value
        if kind is float:
            return value if math.isfinite(value) else None
        if kind is self._table:
            return self._walk_table(value, walk, key, depth)
        if kind is self._function and walk.allow is not None and walk.allow(key):
            return {self._function_key: self._keep(value)}
        word = "function" if kind is self._function else "thread" if "Coroutine" in kind.__name__ else "userdata"
        if walk.result:
            raise NoData("", "coroutine" if word == "thread" else word)
        raise BadValue(f"Unsupported Lua type: {word}" + (f" (in field '{key}')" if depth and key else ""))

    def _walk_table(self, table: Any, walk: _Walk, key: str, depth: int) -> Any:
        walk.tables += 1
        if depth >= MAX_DEPTH:
            raise BadValue(f"the table is nested deeper than {MAX_DEPTH} levels, or contains itself")
        if walk.tables > MAX_TABLES:
            raise BadValue(f"there are more than {MAX_TABLES} tables in it")
        items = dict(table.items())
        if not items:
            return self._walk_empty(table, walk, depth)
        depth += 1
        size = self._list_size(table, items)
        if size:
            return [self._walk(items.get(i), walk, key, depth) for i in range(1, size + 1)]
        named = [(_key(k), v) for k, v in items.items()]
        if len(named) != len(dict(named)):
            raise BadValue("two keys of a table are the same text, such as 1 and '1'")
        # Lua's own order is another one in each process; what reads a JSON schema, a model for one, cares about it.
        return {k: self._walk(v, walk, k, depth) for k, v in sorted(named, key=_first)}

    def _list_size(self, table: Any, items: dict[Any, Any]) -> int:
        """How many entries it has as a list; 0 when it is none, since something in it would be lost then.

        A list of the host's keeps its size, so that what is nil in it comes back as null.
        """
        count, length = len(items), len(table)
        whole = length == count and all(i in items for i in range(1, length + 1))
        if not self._marks:
            return count if whole else 0
        found = self._special(table)
        if type(found) is not int:
            return count if whole else 0
        if whole:
            return max(found, count)
        top = max((k for k in items if type(k) is int), default=0)
        fits = all(type(k) is int and k > 0 for k in items) and top <= max(found, 2 * count)
        return max(found, top) if fits else 0

    def _walk_empty(self, table: Any, walk: _Walk, depth: int) -> Any:
        """An empty table may be a handle or a marked array: only then does its identity matter."""
        found = self._special(table)
        if found is None:
            return {}
        if type(found) is int:
            return [None] * found
        if isinstance(found, str):
            if walk.result:
                raise NoData("", found)
            return {}
        if walk.references:
            return {self._handle_key: found[1], "id": found[2]}
        if walk.result and not len(dict(found[3].items())):
            raise NoData("", "stream") if found[1] == "Stream" else NoData("", "object", found[1])
        return self._walk(found[3], walk, "", depth + 1)

    # -- into the VM ------------------------------------------------------------------------------------------------

    def into(self, value: Any, *, handles: bool = False, lists: bool = True) -> Any:
        """The Lua value for JSON data; `lists`: there may be some in it that `may_hold_lists` means.

        With `handles`, objects and functions in it become what they are.
        """
        kind = type(value)
        if kind is str or kind is bool or value is None or kind is float:
            return value
        if kind is int:
            return _number(value)
        if handles:
            return self._build(value, handles=True, text=_same)
        try:
            table = self._table_from(value, recursive=True)
        except OverflowError:
            return self._build(value, handles=False, text=_same)
        if lists:
            for size, *path in _uncertain_lists(value):
                self._marked(table, size, *path)
        return table

    def _marked(self, table: Any, size: int, *path: Any) -> Any:
        self._marks = True
        self._mark(table, size, *path)
        return table

    def decode(self, text: str, weigh: Callable[[Any, int], None]) -> Any:
        """The Lua value of JSON text; `weigh(data, size)` may refuse it. Raises: ValueError, RecursionError."""
        escapes = "\\u" in text
        # Escapes name characters, not bytes: decode everything first, then make views of it.
        data = parse_json(text.encode("latin-1").decode("utf-8") if escapes else text)
        weigh(data, len(text))
        return (
            self._build(data, handles=False, text=bytes_view)
            if escapes
            else self.into(data, lists=may_hold_lists(text))
        )

    def _build(self, value: Any, *, handles: bool, text: Callable[[str], str]) -> Any:
        if isinstance(value, str):
            return text(value)
        if isinstance(value, list):
            table = self._table_from([self._build(item, handles=handles, text=text) for item in value])
            return table if value and None not in value else self._marked(table, len(value))
        if not isinstance(value, dict):
            return _number(value) if type(value) is int else value
        if handles and self._function_key in value:
            return self._kept(value[self._function_key])
        if handles and self._handle_key in value:
            fields = self._build(value.get("fields") or {}, handles=True, text=text)
            return self._handle(value[self._handle_key], value["id"], fields)
        return self._table_from({text(k): self._build(v, handles=handles, text=text) for k, v in value.items()})


def may_hold_lists(text: str) -> bool:
    """Whether there may be lists in this JSON text that are empty or hold null; looking into the data tells.

    Looking through a large text takes longer than looking into its data, if that is not many small things.
    """
    if len(text) > LARGE and text.count("{", 0, LARGE) + text.count("[", 0, LARGE) < SPARSE:
        return True
    return "null" in text or _EMPTY_LIST.search(text) is not None


def _uncertain_lists(value: Any) -> list[list[Any]]:
    """[size, key, ...] of each list that a table does not show as one: those that are empty or hold null."""
    found: list[list[Any]] = []
    open_: list[tuple[Any, tuple[Any, ...]]] = [(value, ())]
    while open_:
        item, path = open_.pop()
        is_list = type(item) is list
        if is_list and (not item or None in item):
            found.append([len(item), *path])
        for key, inner in enumerate(item, 1) if is_list else item.items():
            if type(inner) is list or type(inner) is dict:
                open_.append((inner, (*path, key)))
    return found


class _Walk:
    """How one walk treats what is not plain data, and how much it has seen."""

    __slots__ = ("allow", "references", "result", "tables")

    def __init__(self, allow: Callable[[str], bool] | None, *, references: bool = False, result: bool = False) -> None:
        self.allow = allow
        self.references = references
        self.result = result
        self.tables = 0


def bytes_view(text: str) -> str:
    """Characters as UTF-8 bytes, each again a character."""
    return text if text.isascii() else text.encode("utf-8", "surrogatepass").decode("latin-1")


def _same(text: str) -> str:
    return text


def _number(value: int) -> int | float:
    """Beyond 64 bits only a float will do, and beyond that only infinity, as in JavaScript."""
    if -MAX_INTEGER <= value < MAX_INTEGER:
        return value
    try:
        return float(value)
    except OverflowError:
        return math.inf if value > 0 else -math.inf


def _key(key: Any) -> str:
    if type(key) is str:
        return key
    if type(key) is float and key.is_integer():
        return str(int(key))
    if type(key) in (int, float):
        return str(key)
    if type(key) is bool:
        return "true" if key else "false"
    raise BadValue("a table key is neither a string nor a number")


def is_text(view: str) -> bool:
    try:
        view.encode("latin-1").decode("utf-8")
    except UnicodeError:
        return False
    return True


def portable(content: str) -> Any:
    return (
        content if is_text(content) else {"b64": binascii.b2a_base64(content.encode("latin-1"), newline=False).decode()}
    )


def whole_text(value: Any) -> str:
    """JSON text; bytes that are not UTF-8 are replaced, so that a result always arrives."""
    text = dump(value)
    if text.isascii() or is_text(text):
        return text
    return text.encode("latin-1").decode("utf-8", "replace").encode().decode("latin-1")
