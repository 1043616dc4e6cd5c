"""What servers send in place of what their protocols say, read by the core: pieces of calls, texts, counts, answers."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import httpx2
import pytest

from llmspell_core.errors import QuotaExceededError, RateLimitError, ValidationError
from llmspell_core.messages import AgentChunk, Message, ToolCall
from llmspell_core.provider import INVALID_JSON, CompletionRequest, ProviderSettings, ToolDefinition
from llmspell_core.provider.failures import ServerFailures, retry_after
from llmspell_core.provider.intact import intact_chunks, sendable
from llmspell_core.provider.reading import CallPieces, arguments_of, count_of, text_of, whole_characters
from llmspell_core.provider.tidy import tidied

Piece = tuple[Any, Any, Any, Any]
PIECES: list[tuple[str, list[Piece], list[tuple[str, dict[str, Any]]]]] = [
    ("one number", [(0, "a", "f", '{"x":1}'), (0, "b", "f", '{"x":2}')], [("f", {"x": 1}), ("f", {"x": 2})]),
    ("one number, no ids", [(0, None, "f", '{"x":1}'), (0, "", "g", "{}")], [("f", {"x": 1}), ("g", {})]),
    ("no number", [(None, "a", "f", '{"x":'), (None, "", "", "1}")], [("f", {"x": 1})]),
    ("no number, two ids", [(None, "a", "f", "{}"), (None, "b", "g", "{}")], [("f", {}), ("g", {})]),
    (
        "taken turns",
        [(0, "a", "f", ""), (1, "b", "g", ""), (0, None, None, "{}"), (1, None, None, "{}")],
        [("f", {}), ("g", {})],
    ),
    ("another id in each piece", [(0, "a", "f", '{"x":'), (0, "b", None, "1}")], [("f", {"x": 1})]),
    ("names in pieces", [(0, "a", "calc", ""), (0, None, "ulator", "{}")], [("calculator", {})]),
    ("names that grow", [(0, "a", "calc", ""), (0, "a", "calculator", "{}")], [("calculator", {})]),
    ("names again", [(0, "a", "f", '{"x":'), (0, "a", "f", "1}")], [("f", {"x": 1})]),
    ("an object", [(0, "a", "f", {"x": 1})], [("f", {"x": 1})]),
    ("an id that is late", [(0, None, "f", ""), (0, "a", None, "{}")], [("f", {})]),
]


@pytest.mark.parametrize(("pieces", "meant"), [row[1:] for row in PIECES], ids=[row[0] for row in PIECES])
def test_pieces_of_calls_become_the_calls_that_were_made(pieces: list[Piece], meant: Any) -> None:
    calls = CallPieces()
    for piece in pieces:
        calls.add(*piece)
    made = calls.finished()
    assert [(call.tool_name, call.parameters) for call in made] == meant
    assert len({call.tool_id for call in made}) == len(made)


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        (None, {}), ("", {}), (" \n", {}), ("null", {}), ({}, {}), ({"a": 1}, {"a": 1}), ('{"a":1}', {"a": 1}),
        ('"{\\"a\\":1}"', {"a": 1}), ('```json\n{"a":1}\n```', {"a": 1}), ('{"a":"x\ny"}', {"a": "x\ny"}),
        ('{"n":9007199254740993}', {"n": 9007199254740993}),
    ],
)  # fmt: skip
def test_arguments_are_read_as_they_were_meant(written: Any, meant: dict[str, Any]) -> None:
    assert arguments_of(written) == meant


@pytest.mark.parametrize("written", ["[1]", [1], 5, "{'a': 1}", '{"a":', '{"a":NaN}', '{"a":1e400}', "[" * 5000])
def test_what_is_no_object_goes_back_to_the_model(written: Any) -> None:
    assert arguments_of(written).keys() == {INVALID_JSON}


def test_texts_and_counts_of_every_form() -> None:
    thought = {"type": "thinking", "thinking": "hm"}
    assert text_of([thought, {"type": "text", "text": "a"}, "b", None, {"text": "c"}]) == "abc"
    assert [text_of(each) for each in (None, "", 42, {"type": "text", "text": "x"}, {"type": "image"})] == [
        "",
        "",
        "42",
        "x",
        "",
    ]
    counts = [None, "7", 2.5, "x", -1, float("nan"), float("inf"), [], True]
    assert [count_of(each) for each in counts] == [0, 7, 2, 0, 0, 0, 0, 0, 1]
    assert whole_characters("a\ud83e b \ud83e\udd8a") == "a\ufffd b 🦊"


async def test_a_character_in_two_pieces_is_one() -> None:
    async def pieces() -> AsyncIterator[AgentChunk]:
        for text in ("x\ud83e", "\udd8ay", "z\ud83e"):
            yield AgentChunk("text", text)
        yield AgentChunk("end")

    texts = [chunk.text async for chunk in intact_chunks(pieces()) if chunk.type == "text"]  # type: ignore[arg-type]
    assert texts == ["x", "🦊y", "z", "\ufffd"]


def test_nothing_goes_out_with_half_a_character() -> None:
    half, whole = "a\udcff", "a\ufffd"
    calls = [ToolCall("1", "t", {half: [half]})]
    request = CompletionRequest("m", [Message("user", half), Message("assistant", "é", tool_calls=calls)], stop=[half])
    sent = sendable(request)
    assert [m.content for m in sent.messages] == [whole, "é"]
    assert sent.messages[1].tool_calls[0].parameters == {whole: [whole]}
    assert sent.stop == [whole]
    assert request.messages[0].content == half, "the caller's own request was changed"
    assert sendable(sent) is sent
    assert ToolDefinition("t", half, {"enum": [half]}) == ToolDefinition("t", whole, {"enum": [whole]})


async def events(text: bytes, kind: str = "text/event-stream", *, step: int = 1) -> bytes:
    async def parts() -> AsyncIterator[bytes]:
        for start in range(0, len(text), step):
            yield text[start : start + step]

    response = httpx2.Response(200, headers={"content-type": kind}, content=parts())
    return b"".join([part async for part in tidied(response, whole_characters=True).aiter_bytes()])


@pytest.mark.parametrize("step", [1, 7, 10_000])
async def test_only_what_means_nothing_is_taken_out_of_an_answer(step: int) -> None:
    sent = b"\xef\xbb\xbfdata: 1\n\n: keep\n\ndata:\n\ndata: null\r\n\r\nevent: x\ndata: {}\n\ndata: a\ndata: []\n\ndata: [DONE]\n\n"
    assert await events(sent, step=step) == b"data: 1\n\ndata: a\ndata: []\n\ndata: [DONE]\n\n"
    assert await events(b"\xef\xbb\xbf{}\n\n\nnull\n[1]", "application/x-ndjson", step=step) == b"[1]"
    assert await events(b'["\\ud83e","\\ud83e\\udd8a","\\\\ud83e"]', "application/json", step=step) == (
        b'["\\ufffd","\\ud83e\\udd8a","\\\\ud83e"]'
    )
    assert await events(b"\xef\xbb\xbf \n\n", "application/octet-stream", step=step) == b"\xef\xbb\xbf \n\n"


def test_quotas_refusals_and_waits_are_told_apart_by_their_words() -> None:
    failures = ServerFailures(ProviderSettings("v", "v"), None, "http://x")
    quota = "You exceeded your current quota, please check your plan and billing details."
    assert isinstance(failures.of_status(429, quota, "m"), QuotaExceededError)
    assert isinstance(failures.of_status(429, quota, "m", code="insufficient_quota"), QuotaExceededError)
    soon = failures.of_status(429, f"{quota} Please try again in 1m20.5s", "m")
    assert isinstance(soon, RateLimitError)
    assert soon.retry_after == 80.5
    assert isinstance(failures.by_words("", f"{quota} Limit per minute: 5", "m"), RateLimitError)
    wrong = failures.of_status(400, 'Unknown name "safety_settings": Cannot find field.', "m")
    assert isinstance(wrong, ValidationError)
    assert wrong.field == "safety_settings"
    assert [retry_after({"retry-after": word}) for word in ("-5", "NaN", "inf", "\xb2", "7")] == [None] * 4 + [7.0]
