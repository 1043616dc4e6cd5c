"""What a script sees of an output: a flat table with `text`, the tool's envelope keys and `metadata`."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from llmspell_core.messages import plain
from llmspell_core.provider.reading import MOST_LEVELS
from llmspell_core.purse import MOST_PARSED, json_weight, measure
from llmspell_core.script.declare import camel
from llmspell_core.script.values import Path, View

if TYPE_CHECKING:
    from llmspell_core.messages import AgentChunk, AgentOutput, ToolCall
    from llmspell_core.script.scope import ScriptScope

__all__ = ["View", "answer_view", "chunk_view", "output_view", "plain_answer", "spelled", "tool_view"]

ENVELOPE_KEYS = ("success", "result", "operation")
METADATA_KEYS = ("model", "token_count", "execution_time_ms", "confidence")


TEXT_ALIASES = ("response", "content")
OURS = frozenset({"response", "output_style", "text_is_json"})
"""What says how a tool's answer is to be shown, and is shown itself in no other way."""
LONG = 1000
"""Characters of a text that is worth not to be sent more than once."""


def tool_view(output: AgentOutput) -> View | dict[str, Any]:
    """What a script gets of a tool; `output_view` has all of it in one place."""
    envelope = output.metadata.extra.get("response")
    if not isinstance(envelope, dict) or output.tool_calls or output.media:
        return output_view(output)
    extra = {key: value for key, value in output.metadata.extra.items() if key not in OURS}
    value: dict[str, Any] = {"text": output.text, "metadata": _metadata(output, extra)}
    made = View(value, flat=True, same=[([alias], ["text"]) for alias in TEXT_ALIASES])
    if output.metadata.extra.get("output_style") == "text":
        if output.metadata.extra.get("text_is_json") and envelope.get("result") is not None:
            made.same.append((["data"], ["result"]))
        kept, places = _without(envelope, output.text)
        value["metadata"]["response"] = kept
        for place in places:
            made.same.append((["metadata", "response", *place], ["text"]))
            if len(place) == 1:
                made.same.append((place, ["text"]))
    else:
        made.json = True
        made.same.append((["_raw_text"], ["text"]))
    return made


def answer_view(output: AgentOutput) -> View | dict[str, Any]:
    """What a script gets of an agent; `plain_answer` has all of it in one place."""
    view = plain_answer(output)
    if len(output.text) < LONG:
        return view
    same = [alias for alias in TEXT_ALIASES if view.get(alias) is output.text]
    for alias in same:
        del view[alias]
    return View(view, same=[([alias], ["text"]) for alias in same])


def plain_answer(output: AgentOutput) -> dict[str, Any]:
    """The table of an agent's answer, all of it in one place.

    A model wrote the text, so nothing in it becomes a field: JSON is parsed into `data`, whatever its keys are.
    """
    extra = dict(output.metadata.extra)
    data = _parsed(output.text) if "parsed" not in extra else (extra.pop("parsed"),)
    view: dict[str, Any] = {"data": data[0]} if data else {}
    view |= {"text": output.text, **dict.fromkeys(TEXT_ALIASES, output.text)}
    view["metadata"] = _metadata(output, extra)
    view["tool_calls"] = [call_view(call) for call in output.tool_calls]
    if output.media:
        view["media"] = _media(output)
    return view


def _without(envelope: dict[str, Any], text: str) -> tuple[dict[str, Any], list[Path]]:
    """The envelope without the values in it, or in its result, that are `text` itself; and where they were."""
    places: list[Path] = [[key] for key, value in envelope.items() if value is text]
    kept = {key: value for key, value in envelope.items() if value is not text}
    result = kept.get("result")
    if isinstance(result, dict):
        inner = [key for key, value in result.items() if value is text]
        if inner:
            kept["result"] = {key: value for key, value in result.items() if value is not text}
            places += [["result", key] for key in inner]
    return kept, places


def output_view(output: AgentOutput) -> dict[str, Any]:
    """The table of a tool's output.

    A text that is a JSON object with `success`, `result` or `operation` gives all its keys to the table (and stays in
    `_raw_text`); any other JSON text is parsed into `data`. `response` and `content` repeat `text`.
    """
    extra = dict(output.metadata.extra)
    is_json = extra.pop("text_is_json", False)
    envelope = extra.get("response") if extra.pop("output_style", None) == "text" else None
    view = _flat(envelope) if isinstance(envelope, dict) else _from_text(output.text)
    if envelope is None:
        extra.pop("response", None)
    if is_json and view.get("result") is not None:
        view["data"] = view["result"]
    if "parsed" in extra:
        view["data"] = extra.pop("parsed")
    view["text"] = output.text
    for alias in ("response", "content"):
        view.setdefault(alias, output.text)
    view["metadata"] = _metadata(output, extra)
    if output.media:
        view["media"] = _media(output)
    if output.tool_calls:
        view["tool_calls"] = [call_view(call) for call in output.tool_calls]
    return view


def _media(output: AgentOutput) -> list[dict[str, Any]]:
    return [{**m.to_dict(), **m.metadata, "base64": m.data} for m in output.media]


def _parsed(text: str) -> tuple[Any, ...]:
    """The list or table that a text is, if it is one; what is nested without end stays a text."""
    stripped = text.lstrip()
    if not stripped.startswith(("{", "[")) or json_weight(text) > MOST_PARSED:
        return ()
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        return ()
    return (value,) if measure(value, MOST_PARSED)[1] <= MOST_LEVELS else ()


def _from_text(text: str) -> dict[str, Any]:
    found = _parsed(text)
    if not found:
        return {}
    value = found[0]
    if isinstance(value, dict) and any(key in value for key in ENVELOPE_KEYS):
        return {**_flat(value), "_raw_text": text}
    return {"data": value}


def _flat(envelope: dict[str, Any]) -> dict[str, Any]:
    """The envelope's keys; `error` becomes its message, because scripts print it."""
    view = dict(envelope)
    error = view.get("error")
    if isinstance(error, dict):
        view["error"] = error.get("message")
        view["error_details"] = error
    view.pop("metadata", None)
    return view


def _metadata(output: AgentOutput, extra: dict[str, Any]) -> dict[str, Any]:
    known = {key: getattr(output.metadata, key) for key in METADATA_KEYS}
    return {**{k: v for k, v in known.items() if v is not None}, **plain(extra)}


def call_view(call: ToolCall) -> dict[str, Any]:
    """`{tool_id, tool_name, parameters, result}`; `result` has `success`, `data`, `error`."""
    return call.to_dict()


def chunk_view(chunk: AgentChunk) -> dict[str, Any]:
    """One chunk of a stream: `type`, `text`, and what belongs to the type. Only the end's `output` has the whole text."""
    view: dict[str, Any] = {
        "type": chunk.type,
        **dict.fromkeys(("text", *TEXT_ALIASES), chunk.text),
        "index": chunk.chunk_index,
        "is_final": chunk.is_final,
    }
    for key in ("call_id", "tool_name", "arguments", "data"):
        value = getattr(chunk, key)
        if value is not None:
            view[key] = plain(value)
    if chunk.call is not None:
        view["call"] = call_view(chunk.call)
    if chunk.output is not None:
        view["output"] = plain_answer(chunk.output)
    return view


def spelled(scope: ScriptScope, table: dict[str, Any], *inner: str) -> dict[str, Any]:
    """`table`, in JavaScript with every key in camelCase as well; `inner` names tables in it that are treated alike."""
    if scope.language != "javascript":
        return table
    shown = {**table, **{name: spelled(scope, table[name]) for name in inner if isinstance(table.get(name), dict)}}
    return shown | {camel(name): value for name, value in shown.items() if camel(name) not in shown}
