"""The half of the provider contract that asks a server which answers."""

from __future__ import annotations

import asyncio
import json
from contextlib import aclosing
from typing import Any, ClassVar

import pytest

from llmspell_core.messages import Message, Usage
from llmspell_core.provider import Completion, CompletionRequest, Provider, ToolDefinition
from llmspell_core.testing.contract import Contract, Leftovers
from llmspell_core.testing.exchange import collected, opened, stream_of

__all__ = ["ProviderAnswers"]

TOOL = ToolDefinition(
    "weather",
    "Tells the weather of a city.",
    {
        "type": "object",
        "properties": {"city": {"type": "string", "description": "name of the city"}},
        "required": ["city"],
        "additionalProperties": False,
    },
)
OTHER_TOOL = ToolDefinition(
    "clock",
    "Tells the time in a time zone.",
    {"type": "object", "properties": {"zone": {"type": "string", "description": "time zone"}}, "required": ["zone"]},
)
PERSON = {
    "type": "object",
    "properties": {"name": {"type": "string", "maxLength": 30}, "age": {"type": "integer"}},
    "required": ["name", "age"],
    "additionalProperties": False,
}


class ProviderAnswers(Contract):
    """What a provider answers. Attributes to set in the subclass:

    model: a model that `make_provider` can use.
    deterministic: whether two equal requests with temperature 0 and a seed give equal answers.
    """

    model: ClassVar[str] = "test-model"
    deterministic: ClassVar[bool] = True

    def make_provider(self) -> Provider:
        """A provider that can answer."""
        raise NotImplementedError(f"{type(self).__name__} must define make_provider")

    def request(self, text: str = "Say hello.", **fields: Any) -> CompletionRequest:
        given = {"temperature": 0.0, "seed": 7, "max_tokens": 24} | fields
        return CompletionRequest(self.model, [Message("user", text)], **given)

    async def test_it_answers_with_text_usage_and_a_reason(self) -> None:
        """A completion says what was answered, by which model, for how many tokens and why it ended.

        If this fails, fill the missing field of `Completion` from the vendor's reply in `complete`.
        """
        async with opened(self.make_provider()) as provider:
            answer = await provider.complete(self.request())
        assert answer.text.strip(), "the text is empty"
        assert answer.finish_reason in {"stop", "length"}, f"finish_reason is {answer.finish_reason!r}"
        assert answer.model, "model is empty"
        assert not answer.tool_calls, "there are tool calls, but no tools were offered"
        _check_usage(answer.usage)

    async def test_the_chunks_of_a_stream_add_up_to_the_answer(self) -> None:
        """The text chunks in order are the text; one `end` comes last, with usage and the reason.

        If this fails, look at `stream`: it must yield every piece of text once and untouched, and after the last one
        an `end` chunk with `usage` and `data = {"finish_reason": ..., "model": ...}`.
        """
        async with opened(self.make_provider()) as provider:
            streamed = await collected(provider, self.request())
            whole = await provider.complete(self.request())
        assert streamed.text.strip(), "no text chunk came"
        assert streamed.finish_reason == whole.finish_reason
        _check_usage(streamed.usage)
        if self.deterministic:
            assert streamed.text == whole.text

    async def test_usage_counts_grow_with_the_prompt(self) -> None:
        """Usage is what the server counted, not a constant.

        If this fails, take the numbers from the vendor's reply.
        """
        async with opened(self.make_provider()) as provider:
            short = await provider.complete(self.request("Hi.", max_tokens=4))
            long = await provider.complete(self.request("Hi. " + "Tell me more of it. " * 20, max_tokens=4))
        assert long.usage.input_tokens > short.usage.input_tokens + 20

    async def test_max_tokens_ends_the_answer(self) -> None:
        """An answer that is cut by the limit says so.

        If this fails, pass `max_tokens` on under the vendor's name and map its word for it to `length`.
        """
        async with opened(self.make_provider()) as provider:
            answer = await provider.complete(self.request("Tell me a long story about a dragon.", max_tokens=5))
        assert answer.finish_reason == "length"
        assert answer.usage.output_tokens <= 6

    async def test_a_forced_tool_is_called_and_its_result_is_taken(self) -> None:
        """A named tool is called with arguments of its schema; the conversation goes on with the result.

        If this fails, check how `tool_choice` with a name is translated, that arguments are parsed into `parameters`,
        and that `tool` messages go back with the id of their call.
        """
        request = self.request("What is the weather in Paris?", tools=[TOOL], tool_choice="weather", max_tokens=80)
        async with opened(self.make_provider()) as provider:
            answer = await provider.complete(request)
            assert answer.finish_reason == "tool_calls", f"finish_reason is {answer.finish_reason!r}"
            _check_call(answer, {"weather"})
            assert isinstance(answer.tool_calls[0].parameters["city"], str)
            call = answer.tool_calls[0]
            request.messages += [
                Message("assistant", answer.text, tool_calls=[call]),
                Message("tool", "It rains.", tool_call_id=call.tool_id),
            ]
            request.tool_choice = "none"
            final = await provider.complete(request)
        assert final.text.strip(), "no answer after the tool's result"

    async def test_any_tool_can_be_required(self) -> None:
        """`required` leaves the choice of the tool to the model, but not whether to call one.

        If this fails, translate `required` to the vendor's word for it.
        """
        request = self.request("What is the weather in Paris?", tools=[TOOL, OTHER_TOOL], max_tokens=80)
        request.tool_choice = "required"
        async with opened(self.make_provider()) as provider:
            _check_call(await provider.complete(request), {"weather", "clock"})

    async def test_a_streamed_tool_call_arrives_whole(self) -> None:
        """A stream ends with each call as one `tool_call` chunk, its arguments parsed.

        If this fails, collect the pieces of the arguments by call and yield the call when the stream ends.
        """
        request = self.request("What is the weather in Paris?", tools=[TOOL], tool_choice="weather", max_tokens=80)
        async with opened(self.make_provider()) as provider:
            streamed = await collected(provider, request)
        assert streamed.finish_reason == "tool_calls"
        _check_call(streamed, {"weather"})
        _check_usage(streamed.usage)

    async def test_a_schema_gives_json_of_that_schema(self) -> None:
        """With `response_schema` the text is JSON that fits.

        If this fails, translate the schema to the vendor's structured output; if the vendor has none, say
        `supports_json_schema=False` in `capabilities`.
        """
        provider = self.make_provider()
        if not provider.capabilities.supports_json_schema:
            pytest.skip("declares no JSON schema support")
        async with opened(provider):
            answer = await provider.complete(
                self.request("Describe Bob, who is 30.", response_schema=PERSON, max_tokens=120)
            )
        data = json.loads(answer.text)
        assert set(data) == {"name", "age"}
        assert isinstance(data["name"], str)
        assert isinstance(data["age"], int)

    async def test_several_requests_at_once_do_not_mix(self) -> None:
        """One provider instance serves all agents of a runtime at the same time.

        If this fails, keep no state of a request on the provider.
        """
        requests = [self.request(f"Say the number {n}.", max_tokens=6 + n) for n in range(3)]
        async with opened(self.make_provider()) as provider:
            answers = await asyncio.gather(*(provider.complete(r) for r in requests))
            alone = [await provider.complete(r) for r in requests]
        if self.deterministic:
            assert [a.text for a in answers] == [a.text for a in alone]

    async def test_the_request_is_left_as_it_was(self) -> None:
        """The agent goes on using the request's message list.

        If this fails, copy before you change anything.
        """
        request = self.request(tools=[TOOL], tool_choice="none", max_tokens=2)
        before = repr(request)
        async with opened(self.make_provider()) as provider:
            await provider.complete(request)
        assert repr(request) == before

    async def test_a_stream_left_early_and_a_cancelled_call_leave_nothing_behind(self) -> None:
        """Nobody waits for an answer that nobody wants.

        If this fails, close the vendor's stream in a `finally`, and own every task you start.
        """
        async with opened(self.make_provider()) as provider:
            await provider.complete(self.request(max_tokens=2))  # connections and processes exist now
            before = Leftovers()
            async with aclosing(stream_of(provider, self.request("Tell me a story.", max_tokens=200))) as chunks:
                async for chunk in chunks:
                    if chunk.type == "text":
                        break
            call = asyncio.ensure_future(provider.complete(self.request("Tell me a story.", max_tokens=200)))
            await asyncio.sleep(0.01)
            call.cancel()
            await asyncio.wait([call])
            assert not _own(await before.new_after_a_moment(0.5))
            answer = await asyncio.wait_for(provider.complete(self.request()), 20)
        assert answer.text.strip()

    async def test_closing_leaves_nothing_behind(self) -> None:
        """After `close` there is no connection, task, thread or process of the provider.

        If this fails, close the client in `close`, and end what you started.
        """
        before = Leftovers()
        async with opened(self.make_provider()) as provider:
            await provider.complete(self.request(max_tokens=2))
        assert not await before.new_after_a_moment()

    async def test_health_names_models(self) -> None:
        """`llmspell provider test` shows whether the other side answers.

        If this fails, implement `list_models` with the vendor's model list.
        """
        async with opened(self.make_provider()) as provider:
            health = await provider.health()
        assert health.healthy, health.reason
        assert health.models, "no models are listed"


def _own(leftovers: list[str]) -> list[str]:
    """Without the connections that a client keeps for its next request, and their other ends."""
    return [left for left in leftovers if not left.startswith(("file socket", "task fake server"))]


def _check_usage(usage: Usage) -> None:
    assert usage.input_tokens > 0, "usage.input_tokens is missing"
    assert usage.output_tokens > 0, "usage.output_tokens is missing"


def _check_call(answer: Completion, names: set[str]) -> None:
    assert answer.tool_calls, f"no tool was called; the text is {answer.text!r}"
    call = answer.tool_calls[0]
    assert call.tool_name in names
    assert call.tool_id, "the call has no id"
    known = {"weather": "city", "clock": "zone"}[call.tool_name]
    assert set(call.parameters) == {known}, f"the arguments are {call.parameters!r}"
