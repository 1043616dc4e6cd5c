"""The part of the provider contract in which the server answers, but not as its documentation says."""

from __future__ import annotations

import json
from collections.abc import Mapping
from contextlib import aclosing
from typing import Any, ClassVar

import pytest

from llmspell_core.errors import LLMSpellError, RateLimitError, ValidationError
from llmspell_core.messages import ToolCall, Usage
from llmspell_core.provider import Completion
from llmspell_core.testing.exchange import opened, stream_of
from llmspell_core.testing.fake_server import FakeServer, Reply
from llmspell_core.testing.provider_failures import ProviderFailures

__all__ = ["ProviderOddities"]

FOR_A_MOMENT = "You exceeded your current quota, please check your plan and billing details. Please retry in 0.3s."
PAGE = "<html><style>body{color:red}</style><script>var x = 1;</script><body>Bad gateway</body></html>"
CALL = {"expression": "1+1"}


class ProviderOddities(ProviderFailures):
    """What gateways make of a protocol. See `llmspell_core.provider.reading` for what reads it. To set in the subclass:

    reads_answers: False for a provider whose package keeps the answers as they came to itself.
    """

    reads_answers: ClassVar[bool] = True

    def make_odd_answers(self) -> Mapping[str, tuple[Any, Completion]]:
        """Whole answers on the vendor's wire, written oddly, and what they mean. These are of the OpenAI protocol."""

        def answer(usage: Any = None, **message: Any) -> dict[str, Any]:
            choice = {"index": 0, "message": {"role": "assistant", "content": None} | message, "finish_reason": "stop"}
            return {"id": "1", "object": "chat.completion", "created": 1, "model": "m", "choices": [choice]} | (
                {"usage": usage} if usage else {}
            )

        def call(arguments: Any) -> dict[str, Any]:
            return {"id": "c", "type": "function", "function": {"name": "calculator", "arguments": arguments}}

        made = Completion(tool_calls=[ToolCall("c", "calculator", CALL)])
        empty = Completion(tool_calls=[ToolCall("c", "calculator", {})])
        thought = {"type": "thinking", "thinking": [{"type": "text", "text": "hm"}]}
        counts = {"prompt_tokens": "7", "completion_tokens": 2.0}
        return {
            "content in parts": (answer(content=[thought, {"type": "text", "text": "hi"}]), Completion("hi")),
            "arguments as an object": (answer(tool_calls=[call(CALL)]), made),
            "arguments in JSON twice": (answer(tool_calls=[call(json.dumps(json.dumps(CALL)))]), made),
            "no arguments": (answer(tool_calls=[call(None)]), empty),
            "arguments of null": (answer(tool_calls=[call("null")]), empty),
            "counts in words": (answer(counts, content="hi"), Completion("hi", usage=Usage(7, 2))),
        }

    def _must_read(self) -> None:
        if not self.reads_answers:
            pytest.skip("its package reads the answers")

    async def test_odd_answers_mean_what_they_mean(self) -> None:
        """Parts are joined, arguments are read whatever they are written as, counts are whole numbers.

        If this fails, read the answer with `text_of`, `tool_call_of` and `count_of` of `llmspell_core.provider.reading`;
        if your vendor has another protocol than OpenAI's, override `make_odd_answers`.
        """
        self._must_read()
        for kind, (body, meant) in self.make_odd_answers().items():
            async with FakeServer(Reply(body=body)) as server, opened(self.make_provider_at(server.url)) as provider:
                answer = await provider.complete(self.failing_request())
            assert answer.text == meant.text, kind
            calls = [(call.tool_name, call.parameters) for call in answer.tool_calls]
            assert calls == [(call.tool_name, call.parameters) for call in meant.tool_calls], kind
            if meant.usage.total_tokens:
                counts = (answer.usage.input_tokens, answer.usage.output_tokens)
                assert counts == (meant.usage.input_tokens, meant.usage.output_tokens), kind
                assert all(type(count) is int for count in counts), kind

    @pytest.mark.parametrize("nothing", [b"data:", b"data: null", b"data: []", b": still here", b"\xef\xbb\xbf"])
    async def test_what_keeps_a_stream_open_is_no_part_of_it(self, nothing: bytes) -> None:
        """Gateways send comments, empty events and marks; the text around them must come through.

        If this fails, give the package the client of `self.wire(base_url)`, which takes them out.
        """
        if nothing.startswith(b"\xef"):
            self._must_read()
        start = self.make_stream_start()
        is_events = bytes(next(p for p in start if isinstance(p, bytes))).startswith((b"data", b"event"))
        filler = nothing if nothing.startswith(b"\xef") else nothing + b"\n\n" if is_events else b"\n"
        kind = "text/event-stream" if is_events else "application/x-ndjson"
        reply = Reply(pieces=[filler, *start], hang=True, headers={"Content-Type": kind})
        async with (
            FakeServer(reply) as server,
            opened(self.make_provider_at(server.url)) as provider,
            aclosing(stream_of(provider, self.failing_request())) as chunks,
        ):
            assert (await anext(chunks)).type == "text"

    async def test_a_quota_that_a_moment_helps_is_a_rate_limit(self) -> None:
        """Servers say "quota" and "billing" of a limit for a minute, too; who hears "no credit" gives up for nothing.

        If this fails, translate statuses with `ServerFailures.of_status`.
        """
        error = await self._failing(Reply(429, self.make_error_body(429, FOR_A_MOMENT)))
        assert isinstance(error, RateLimitError), f"got {error!r}"
        assert error.retry_after == pytest.approx(0.3)

    @pytest.mark.parametrize("wait", ["-5", "NaN", "inf", "soon", "\xb2"])
    async def test_a_wait_that_is_no_time_is_none(self, wait: str) -> None:
        """A wrong header must not end in an endless wait, nor in giving up at once.

        If this fails, read the header with `retry_after` of `llmspell_core.provider.failures`.
        """
        body = self.make_error_body(429, "slow down")
        error = await self._failing(Reply(429, body, {"Retry-After": wait}))
        assert isinstance(error, RateLimitError), f"got {error!r}"
        assert error.retry_after is None

    async def test_a_word_in_the_name_of_a_parameter_is_no_refusal(self) -> None:
        """A chain of models goes on after a wrong request, and never after a refusal.

        If this fails, translate statuses with `ServerFailures.of_status`.
        """
        for name in ("safety_identifier", "content_filter", "billing_tier", "context_window"):
            error = await self._failing(Reply(400, self.make_error_body(400, f"Unknown parameter: {name}")))
            assert isinstance(error, ValidationError), f"got {error!r}"
            assert name in error.message

    async def test_an_error_with_status_200_is_told_in_its_words(self) -> None:
        """Gateways answer 200 and put what went wrong into the body.

        If this fails, look for an error in the reply before you call it garbage; `ServerFailures.in_answer` makes ours.
        """
        self._must_read()
        body = self.make_error_body(500, "worker limit reached")
        async with FakeServer(Reply(200, body)) as server, opened(self.make_provider_at(server.url)) as provider:
            with pytest.raises(LLMSpellError, match="worker limit reached"):
                await provider.complete(self.failing_request())

    async def test_a_page_is_shown_as_its_text(self) -> None:
        """Proxies answer with pages; style sheets and scripts tell nobody anything.

        If this fails, build the message with `ServerFailures`.
        """
        error = await self._failing(Reply(502, PAGE, {"Content-Type": "text/html"}))
        assert "color:red" not in error.message
        assert "var x" not in error.message

    async def test_json_without_end_is_an_error_of_ours(self) -> None:
        """Parsers give up on deep nesting with an error of their own.

        If this fails, call the package within `ServerFailures.mapped`.
        """
        error = await self._failing(Reply(200, b"[" * 100_000))
        assert error.hint, "say what to check"
