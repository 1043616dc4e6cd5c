"""Frames between host and worker: 4 bytes big-endian length, then one JSON array.

    worker -> host   ["ready", {...}]                  ["fatal", {message}]
                     ["call", id, op, args, line]      ["cancel", id]          ["post", op, args]
                     ["out", "stdout"|"stderr", text]  ["ret", id, env]        ["done", run_id, env]
                     ["begun", id]
    host -> worker   ["boot", {...}]                   ["run", id, {source, name, args, mode}]
                     ["ret", id, env]                  ["invoke", id, callback_id, parent, told, args]
                     ["complete", id, text]            ["stop", id]
    origin           last in a "call" and a "post" that a function of the script made which the host had invoked: the id
                     of that "invoke"
    parent           the "invoke" inside of which this one happens, or 0
    told             1: say "begun" when the function is called
    env              {"ok": true, "value": v}          {"ok": false, "error": {kind, type, message, hint, ...}}
                     "h": 1 beside "value" says that the value holds handles
                     "v": {...} beside "value" says what the VM adds to it, see `llmspell_core.script.values.View`
    handle           {"$handle<mark>": "Agent", "id": 7, "fields": {...}}    function   {"$fn<mark>": 3}
    mark             in "boot"; see `llmspell_core.script.reference`

An interrupt is SIGINT. The JSON text is compact (no blanks between tokens); the worker relies on that when it
slices an env out of a frame without parsing it. Standard library only: the worker imports this module.
"""

from __future__ import annotations

import json
import json.encoder
import re
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = [
    "HEADER",
    "MAX_FRAME",
    "OUT_OF_MEMORY",
    "FrameError",
    "FrameReader",
    "complete_view",
    "dump",
    "dump_text",
    "encoded",
    "encoder",
    "json_problem",
    "load",
    "pack",
    "parse_json",
]

MAX_FRAME = 128 * 1024 * 1024
"""Bytes of the largest frame, in both directions: a 50 MB text fits, also as base64 or full of escapes."""

HEADER = 4


def encoder(*, ascii_only: bool, default: Callable[[Any], Any] | None = None) -> Callable[[Any], str]:
    """A function that writes compact JSON text. It raises ValueError for NaN, TypeError for odd keys.

    `json.JSONEncoder.encode` builds a new C encoder for every value, which costs more than a small value itself; this
    one is built once. Where there is no C encoder, the public one does it.
    """
    public = json.JSONEncoder(separators=(",", ":"), allow_nan=False, ensure_ascii=ascii_only, default=default)
    make = getattr(json.encoder, "c_make_encoder", None)
    if make is None:
        return public.encode
    escape = getattr(json.encoder, "encode_basestring_ascii" if ascii_only else "encode_basestring")
    write = make(None, public.default, escape, None, ":", ",", False, False, False)
    join = "".join

    def encode(value: Any) -> str:
        return join(write(value, 0))

    return encode


dump = encoder(ascii_only=True)
"""Compact JSON text in ASCII."""

dump_text = encoder(ascii_only=False)
"""Compact JSON text with characters as they are: what the host sends, see `latin-1` in `worker`."""

_raw_decode = json.JSONDecoder().raw_decode


def load(text: str) -> Any:
    """The value of compact JSON text. Raises: ValueError, RecursionError."""
    value, end = _raw_decode(text)
    if end != len(text):
        raise ValueError(f"something follows after character {end}")
    return value


_CONSTANT = re.compile(r'"[^"\\]*+(?:\\.[^"\\]*+)*+"|(NaN|-?Infinity)')


class _NotJsonError(ValueError):
    """Python reads NaN and Infinity; JSON knows neither."""


def _refuse_constant(name: str) -> None:
    raise _NotJsonError(name)


_strict = json.JSONDecoder(parse_constant=_refuse_constant)


def parse_json(text: str) -> Any:
    """The value of JSON text that a script gives. Raises: ValueError, RecursionError."""
    return _strict.decode(text)


def json_problem(text: str) -> str | None:
    """What is wrong with JSON text, and where, in the same words for every engine; None if nothing is."""
    try:
        parse_json(text)
    except _NotJsonError:
        at = next((found.start() for found in _CONSTANT.finditer(text) if found[1]), 0)
        return str(json.JSONDecodeError("Expecting value", text, at))
    except ValueError as error:
        return str(error)
    except RecursionError:
        return "it is nested too deeply"
    return None


def complete_view(value: dict[str, Any], view: dict[str, Any]) -> dict[str, Any]:
    """`value` with what an env's "v" says about it, see `llmspell_core.script.values.View`; in place, by reference."""
    if view["json"]:
        value["metadata"]["response"] = load(value["text"])
    if view["flat"]:
        for key, item in value["metadata"]["response"].items():
            if key != "metadata":
                value.setdefault(key, item)
        problem = value.get("error")
        if isinstance(problem, dict):
            value["error"], value["error_details"] = problem.get("message"), problem
    for (*way, name), path in view["same"]:
        target, source = value, value
        for step in way:
            target = target[step]
        for step in path:
            source = source[step]
        target.setdefault(name, source)
    return value


OUT_OF_MEMORY = 77
"""Exit status of a worker that had no memory left, not even to say so in a frame."""


class FrameError(Exception):
    """The byte stream is not what the protocol says."""


def encoded(text: str) -> bytes:
    """JSON text as bytes. Half a surrogate pair passes: what reads it knows what to do with it."""
    try:
        return text.encode()
    except UnicodeEncodeError:
        return text.encode("utf-8", "surrogatepass")


def pack(payload: bytes) -> bytes:
    """One frame around `payload`."""
    return len(payload).to_bytes(HEADER, "big") + payload


class FrameReader:
    """Cuts a byte stream into payloads. `feed` bytes, then take payloads with `next` until it answers None."""

    __slots__ = ("_buffer", "_limit")

    def __init__(self, limit: int = MAX_FRAME) -> None:
        self._buffer = bytearray()
        self._limit = limit

    def feed(self, data: bytes) -> None:
        self._buffer += data

    @property
    def empty(self) -> bool:
        return not self._buffer

    def whole(self, data: bytes) -> bytes | None:
        """The payload, if `data` is exactly one frame and nothing else is waiting; `data` is not fed then."""
        if not self._buffer and len(data) - HEADER == int.from_bytes(data[:HEADER], "big") <= self._limit:
            return data[HEADER:]
        return None

    def next(self) -> bytes | bytearray | None:
        """The next whole payload.

        Raises:
            FrameError: a frame announces more than the limit.
        """
        buffer = self._buffer
        if len(buffer) < HEADER:
            return None
        end = HEADER + int.from_bytes(buffer[:HEADER], "big")
        if end - HEADER > self._limit:
            raise FrameError(f"a frame of {end - HEADER} bytes; the limit is {self._limit}")
        if len(buffer) < end:
            return None
        if len(buffer) == end:  # nothing follows: a large payload is not copied
            self._buffer = bytearray()
            del buffer[:HEADER]
            return buffer
        payload = bytes(memoryview(buffer)[HEADER:end])
        del buffer[:end]
        return payload

    def missing(self) -> int:
        """Bytes of the frame at the front that have not come yet; 0 when that is not known."""
        if len(self._buffer) < HEADER:
            return 0
        return max(0, HEADER + int.from_bytes(self._buffer[:HEADER], "big") - len(self._buffer))
