"""What `llm` tells, as plain data for the host: events, the end of an answer, and what went wrong. In the child process."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from llmspell_provider_llm.gate import RefusedError

__all__ = ["end_of", "event_of", "report_of"]

REASONS = ("finish_reason", "finishReason", "stop_reason", "done_reason")
HEADERS = ("retry-after", "retry-after-ms", "location")


def event_of(event: Any) -> dict[str, Any]:
    """Text and progress of calls; what the model thinks is not said."""
    own = not event.server_executed
    if event.type == "text":
        return {"event": "text", "text": event.chunk}
    if event.type == "tool_call_name" and own:
        return {"event": "call", "call": event.tool_call_id, "name": event.chunk}
    if event.type == "tool_call_args" and own:
        return {"event": "call", "call": event.tool_call_id, "arguments": event.chunk}
    return {"event": "alive"}


def end_of(response: Any, messages: list[Any]) -> dict[str, Any]:
    calls = [
        {"id": call.tool_call_id, "name": call.name, "arguments": call.arguments}
        for call in response.tool_calls_or_raise()
    ]
    raw = response.response_json if isinstance(response.response_json, dict) else {}
    return {
        "event": "end",
        "calls": calls,
        "parts": _kept(messages) if calls else None,
        "usage": [response.input_tokens, response.output_tokens],
        "model": response.resolved_model or raw.get("model"),
        "finish": _finish(raw),
        "is_chat": str(raw.get("object") or "").startswith("chat.completion"),
    }


def _kept(messages: list[Any]) -> list[dict[str, Any]] | None:
    """The parts of the answer, where a vendor wants some of them back with the results."""
    parts = [part.to_dict() for message in messages for part in message.parts]
    return parts if any(part.get("provider_metadata") for part in parts) else None


def _finish(raw: dict[str, Any]) -> str | None:
    places = [raw, *(raw.get("choices") or ())[:1], *(raw.get("candidates") or ())[:1]]
    words = [place[name] for place in places if isinstance(place, dict) for name in REASONS if place.get(name)]
    return str(words[0]) if words else None


def report_of(error: BaseException) -> dict[str, Any]:
    """Names, words, status and waiting time of an error and of what caused it."""
    chain = list(_causes(error))
    responses = [found for each in chain if (found := getattr(each, "response", None)) is not None]
    headers = {k: v for r in responses[:1] for k, v in dict(getattr(r, "headers", {})).items() if k.lower() in HEADERS}
    code, words = _body(chain, responses)
    return {
        "types": [kind.__name__ for each in chain for kind in type(each).__mro__[:-2]],
        "message": words or str(error) or type(error).__name__,
        "refusal": next((each.refusal for each in chain if isinstance(each, RefusedError)), None),
        "code": code,
        "status": _status([*chain, *responses]),
        "headers": {k.lower(): str(v) for k, v in headers.items()},
    }


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    seen: set[int] = set()
    while error is not None and id(error) not in seen:
        seen.add(id(error))
        yield error
        if isinstance(error, BaseExceptionGroup):  # of several attempts to connect
            yield from error.exceptions
        error = error.__cause__ or error.__context__


def _status(places: list[Any]) -> int | None:
    found = [getattr(each, name, None) for each in places for name in ("status_code", "code")]
    return next((value for value in found if isinstance(value, int) and 100 <= value < 600), None)


def _body(chain: list[BaseException], responses: list[Any]) -> tuple[str, str]:
    """The vendor's own code and words."""
    bodies = [getattr(each, "body", None) for each in chain] + [_json(each) for each in responses]
    for body in bodies:
        inner = body.get("error", body) if isinstance(body, dict) else None
        if isinstance(inner, str):
            return "", inner
        if isinstance(inner, dict) and inner.get("message"):
            return str(inner.get("code") or inner.get("type") or ""), str(inner["message"])
    return "", ""


def _json(response: Any) -> Any:
    try:
        return json.loads(response.text)
    except Exception:  # noqa: BLE001 - a body that was not read, or is no JSON, has no words for us
        return None
