"""Retries, limits, the circuit breaker and chains, as an agent meets them."""

from __future__ import annotations

import asyncio
import logging
import time
from contextlib import aclosing
from typing import Any, ClassVar, cast

import pytest

from llmspell_core.errors import (
    AuthenticationError,
    ContentRefusedError,
    LLMSpellError,
    NetworkError,
    NotFoundError,
    OverloadedError,
    ProviderError,
    RateLimitError,
    TimeoutError,
    ValidationError,
)
from llmspell_core.messages import AgentChunk, Message, Usage
from llmspell_core.provider import CompletionRequest, Provider
from llmspell_core.resilience.breaker import Breaker, CircuitOpenError
from llmspell_core.resilience.limits import Window
from llmspell_core.resilience.retry import RetryPolicy
from llmspell_core.runtime import Runtime
from llmspell_core.testing.fixtures import MakeRuntime
from llmspell_core.testing.scripted import ScriptedProvider, say

QUICK = {"max_retries": 2, "initial_delay_ms": 1, "max_delay_ms": 200}
COLUMNS = ("provider", "model", "requests", "errors", "input_tokens", "output_tokens", "cost_usd")
DOWN = NetworkError("nobody is there", hint="Start it.")


async def serving(make_runtime: MakeRuntime, tables: dict[str, Any] | None = None, **replies: list[Any]) -> Any:
    """A runtime whose providers `first`, `second`, ... reply as scripted, and these providers."""
    runtime = await make_runtime({"providers": tables or {}})
    for name, given in replies.items():
        runtime.registry.register("providers", name, ScriptedProvider.serving(*given), replace=True)
    made = {name: await inner(runtime, name) for name in replies}
    return runtime, made


async def inner(runtime: Runtime, name: str) -> ScriptedProvider:
    provider: Any = await runtime.providers.get(name)
    return cast("ScriptedProvider", getattr(provider, "inner", provider))


def request(model: str = "any") -> CompletionRequest:
    return CompletionRequest(model, [Message("user", "Hi.")])


async def streamed(provider: Provider, asked: CompletionRequest) -> list[AgentChunk]:
    stream = cast("Any", provider.stream(asked))
    async with aclosing(stream) as chunks:
        return [chunk async for chunk in chunks]


# -- retries --------------------------------------------------------------------------------------------------------------


async def test_a_failure_of_the_moment_is_tried_again(make_runtime: MakeRuntime) -> None:
    runtime, made = await serving(make_runtime, {"first": {"retry": QUICK}}, first=[DOWN, DOWN, say("hello")])
    provider = await runtime.providers.get("first")
    assert (await provider.complete(request())).text == "hello"
    assert len(made["first"].requests) == 3


async def test_a_stream_is_tried_again_as_long_as_nothing_was_said(make_runtime: MakeRuntime) -> None:
    runtime, made = await serving(make_runtime, {"first": {"retry": QUICK}}, first=[DOWN, say("hello")])
    chunks = await streamed(await runtime.providers.get("first"), request())
    assert [chunk.text for chunk in chunks] == ["hello", ""]
    assert len(made["first"].requests) == 2


async def test_a_stream_that_said_something_is_not_begun_again(make_runtime: MakeRuntime) -> None:
    class Breaking(ScriptedProvider):
        async def stream(self, request: CompletionRequest) -> Any:
            self.requests.append(request)
            yield AgentChunk("text", text="half")
            raise DOWN

    runtime = await make_runtime({"providers": {"first": {"retry": QUICK}}})
    runtime.registry.register("providers", "first", Breaking)
    provider = await runtime.providers.get("first")
    with pytest.raises(NetworkError):
        await streamed(provider, request())
    assert len((await inner(runtime, "first")).requests) == 1


async def test_retries_come_to_an_end_and_the_last_error_is_told(make_runtime: MakeRuntime) -> None:
    runtime, made = await serving(make_runtime, {"first": {"retry": QUICK}}, first=[DOWN])
    with pytest.raises(NetworkError, match="nobody is there"):
        await (await runtime.providers.get("first")).complete(request())
    assert len(made["first"].requests) == 3


@pytest.mark.parametrize("error", [AuthenticationError("no key"), ValidationError("wrong", field="x")])
async def test_what_will_fail_again_is_not_tried_again(make_runtime: MakeRuntime, error: LLMSpellError) -> None:
    runtime, made = await serving(make_runtime, {"first": {"retry": QUICK}}, first=[error])
    with pytest.raises(type(error)):
        await (await runtime.providers.get("first")).complete(request())
    assert len(made["first"].requests) == 1


async def test_the_server_says_how_long_to_wait(make_runtime: MakeRuntime) -> None:
    limited = RateLimitError("slow down", retry_after=0.08)
    runtime, _ = await serving(make_runtime, {"first": {"retry": QUICK}}, first=[limited, say("hello")])
    began = time.perf_counter()
    await (await runtime.providers.get("first")).complete(request())
    assert time.perf_counter() - began >= 0.08


async def test_a_wait_that_is_too_long_is_left_to_the_caller(make_runtime: MakeRuntime) -> None:
    limited = RateLimitError("slow down", retry_after=3600)
    runtime, made = await serving(make_runtime, {"first": {"retry": QUICK}}, first=[limited])
    with pytest.raises(RateLimitError):
        await (await runtime.providers.get("first")).complete(request())
    assert len(made["first"].requests) == 1


def test_delays_grow_and_differ() -> None:
    policy = RetryPolicy(max_retries=5, initial_delay=1.0, max_delay=5.0)
    for attempt, longest in enumerate((1.0, 2.0, 4.0, 5.0)):
        waits = {policy.wait(DOWN, attempt) or 0.0 for _ in range(20)}
        assert len(waits) > 1, "all callers come back together"
        assert all(longest / 2 <= wait <= longest for wait in waits)
    assert RetryPolicy(rate_limits=False).wait(RateLimitError("slow down"), 0) is None


async def test_the_vendors_package_does_not_retry_because_the_desk_does(make_runtime: MakeRuntime) -> None:
    runtime = await make_runtime({"providers": {"first": {"retry": QUICK}, "second": {"max_retries": 4}}})
    for name in ("first", "second", "third"):
        runtime.registry.register("providers", name, ScriptedProvider)
        assert (await inner(runtime, name)).settings.max_retries == 0


class Brief(ScriptedProvider):
    """As the providers of vendors are: its failures may be of the moment."""

    retried = True
    replies_in_order: ClassVar[list[Any]] = []

    def __init__(self, settings: Any) -> None:
        super().__init__(settings, self.replies_in_order)


@pytest.mark.parametrize(("error", "asked"), [(DOWN, 3), (TimeoutError("too slow"), 1), (AuthenticationError("no"), 1)])
async def test_without_a_table_a_short_failure_is_tried_twice_more_and_a_time_out_is_not(
    make_runtime: MakeRuntime, error: LLMSpellError, asked: int
) -> None:
    class Failing(Brief):
        replies_in_order = [error]

    runtime = await make_runtime()
    runtime.registry.register("providers", "first", Failing)
    with pytest.raises(type(error)):
        await (await runtime.providers.get("first")).complete(request())
    assert len((await inner(runtime, "first")).requests) == asked


async def test_without_a_table_max_retries_says_how_often_and_zero_means_never(make_runtime: MakeRuntime) -> None:
    class Failing(Brief):
        replies_in_order = [RateLimitError("slow down", retry_after=0.01)]

    runtime = await make_runtime({"providers": {"first": {"max_retries": 0}, "second": {"max_retries": 4}}})
    for name, asked in (("first", 1), ("second", 5)):
        runtime.registry.register("providers", name, Failing)
        with pytest.raises(RateLimitError):
            await (await runtime.providers.get(name)).complete(request())
        assert len((await inner(runtime, name)).requests) == asked


# -- totals ---------------------------------------------------------------------------------------------------------------


async def test_requests_tokens_money_and_errors_are_kept_by_provider_and_model(make_runtime: MakeRuntime) -> None:
    prices = {"prices": {"any": {"input": 1_000_000.0, "output": 0.0}}}
    runtime, _ = await serving(make_runtime, {"first": prices}, first=[say("a")], second=[DOWN])
    first, second = await runtime.providers.get("first"), await runtime.providers.get("second")
    await first.complete(request())
    await streamed(first, request())
    await first.complete(request("other"))
    with pytest.raises(NetworkError):
        await second.complete(request())
    rows = [row.to_dict() for row in runtime.providers.totals.rows()]
    assert rows == [
        dict(zip(COLUMNS, ("first", "any", 2, 0, 6, 4, 6.0), strict=True)),
        dict(zip(COLUMNS, ("first", "other", 1, 0, 3, 2, None), strict=True)),
        dict(zip(COLUMNS, ("second", "any", 1, 1, 0, 0, None), strict=True)),
    ]
    assert runtime.providers.totals.whole("first").total_tokens == 15
    assert runtime.metrics.get("provider.input_tokens{model=any,provider=first}") == 6
    assert runtime.metrics.get("provider.requests") == 4
    assert runtime.metrics.get("provider.cost_usd") == 6.0
    assert "provider.cost_usd{model=other,provider=first}" not in runtime.metrics.names()


async def test_a_call_of_an_agent_in_an_agent_is_counted_once(make_runtime: MakeRuntime) -> None:
    runtime, _ = await serving(make_runtime, first=[say("a")])
    for name in ("one", "two"):
        runtime.agents.builder().name(name).model("first/any").build()
    runtime.agents.create_composite("both", ["one", "two"])
    runtime.agents.create_composite("outer", ["both"])
    await runtime.run_agent("outer", "Hi.")
    assert runtime.metrics.get("provider.tokens") == runtime.providers.totals.whole().total_tokens == 10


# -- limits ---------------------------------------------------------------------------------------------------------------


async def test_only_so_many_requests_run_at_once(make_runtime: MakeRuntime) -> None:
    tables = {"first": {"rate_limit": {"max_concurrent": 3}}}
    runtime, made = await serving(make_runtime, tables, first=[say("ok")])
    made["first"].delay = 0.005
    provider = await runtime.providers.get("first")
    calls = [provider.complete(request()) for _ in range(6)] + [streamed(provider, request()) for _ in range(6)]
    await asyncio.gather(*calls)
    assert made["first"].most_active == 3


async def test_a_cancelled_call_gives_its_place_back(make_runtime: MakeRuntime) -> None:
    tables = {"first": {"rate_limit": {"max_concurrent": 1}}}
    runtime, made = await serving(make_runtime, tables, first=[say("ok")])
    made["first"].delay = 5
    provider = await runtime.providers.get("first")
    call = asyncio.ensure_future(provider.complete(request()))
    await asyncio.sleep(0.01)
    call.cancel()
    await asyncio.wait([call])
    made["first"].delay = 0
    assert (await asyncio.wait_for(provider.complete(request()), 1)).text == "ok"


async def test_a_window_never_holds_more_than_its_limit() -> None:
    window, entered = Window(3, seconds=0.1), []

    async def enter() -> None:
        await window.enter(1)
        entered.append(time.monotonic())

    await asyncio.gather(*(enter() for _ in range(9)))
    for first, fourth in zip(entered, entered[3:], strict=False):
        assert fourth - first >= 0.099


async def test_tokens_that_were_spent_are_waited_for() -> None:
    window = Window(100, seconds=0.1)
    await window.enter()
    window.spend(250)
    began = time.monotonic()
    await window.enter()
    assert time.monotonic() - began >= 0.099


async def test_requests_beyond_the_minute_wait(make_runtime: MakeRuntime) -> None:
    tables = {"first": {"rate_limit": {"requests_per_minute": 2}}}
    runtime, made = await serving(make_runtime, tables, first=[say("ok")])
    provider = await runtime.providers.get("first")
    calls = [asyncio.ensure_future(provider.complete(request())) for _ in range(3)]
    done, waiting = await asyncio.wait(calls, timeout=0.1)
    assert (len(done), len(waiting)) == (2, 1)
    waiting.pop().cancel()
    assert len(made["first"].requests) == 2


# -- the circuit breaker --------------------------------------------------------------------------------------------------


async def test_a_provider_that_keeps_failing_is_not_asked_for_a_while(make_runtime: MakeRuntime) -> None:
    tables = {"first": {"circuit_breaker": {"failure_threshold": 2, "reset_seconds": 0.05}, "retry": QUICK}}
    runtime, made = await serving(make_runtime, tables, first=[DOWN, DOWN, say("back")])
    provider = await runtime.providers.get("first")
    with pytest.raises(CircuitOpenError) as caught:
        await provider.complete(request())
    assert len(made["first"].requests) == 2, "the retry was not stopped"
    assert caught.value.hint
    await asyncio.sleep(0.06)
    assert (await provider.complete(request())).text == "back"


def test_one_call_tries_whether_it_is_over() -> None:
    now = 0.0
    breaker = Breaker("first", {"failure_threshold": 1, "reset_seconds": 10}, clock=lambda: now)

    def call(error: Exception | None = None) -> None:
        with breaker.watching():
            if error is not None:
                raise error

    with pytest.raises(NetworkError):
        call(DOWN)
    with pytest.raises(CircuitOpenError):
        call()
    now = 11.0
    with breaker.watching(), pytest.raises(CircuitOpenError):
        call()
    call()
    with pytest.raises(NetworkError):
        call(DOWN)
    now = 22.0
    with pytest.raises(asyncio.CancelledError):
        call(cast("Any", asyncio.CancelledError()))
    call()


def test_what_is_no_outage_does_not_open_the_circuit() -> None:
    breaker = Breaker("first", {"failure_threshold": 1})
    for error in (AuthenticationError("no"), ValidationError("no"), RateLimitError("slow")):
        with pytest.raises(type(error)), breaker.watching():
            raise error
    with breaker.watching():
        pass


# -- chains ---------------------------------------------------------------------------------------------------------------


async def test_the_first_model_that_can_answer_does(make_runtime: MakeRuntime) -> None:
    runtime, made = await serving(make_runtime, first=[DOWN], second=[AuthenticationError("no key")], third=[say("hi")])
    spec = runtime.providers.resolve(["first/x", "second/y", "third/z"])
    provider = await runtime.providers.get(spec.provider)
    answer = await provider.complete(request(spec.model))
    assert (answer.text, answer.model) == ("hi", "third/scripted")
    assert [made[name].requests[0].model for name in ("first", "second", "third")] == ["x", "y", "z"]


async def test_an_agent_says_which_model_of_its_chain_answered(make_runtime: MakeRuntime) -> None:
    runtime, _ = await serving(make_runtime, first=[DOWN], second=[say("hi")])
    agent = runtime.agents.builder().name("a").model("first/x, second/y").build()
    output = await runtime.run_agent(agent, "Hello")
    assert output.text == "hi"
    assert output.metadata.model == "second/scripted"
    chunks = [chunk async for chunk in runtime.stream_agent(agent, "Hello")]
    assert "".join(chunk.text for chunk in chunks if chunk.type == "text") == "hi"


async def test_a_failure_is_logged_once_and_so_is_its_end(
    make_runtime: MakeRuntime, caplog: pytest.LogCaptureFixture
) -> None:
    runtime, _ = await serving(make_runtime, first=[DOWN, DOWN, say("back")], second=[say("hi")])
    provider = await runtime.providers.get("fallback")
    with caplog.at_level(logging.WARNING, "llmspell.providers"):
        texts = [(await provider.complete(request("first/x, second/y"))).text for _ in range(4)]
    assert texts == ["hi", "hi", "back", "back"]
    assert [record.getMessage() for record in caplog.records] == [
        "first/x cannot answer, the next model of the chain is asked: nobody is there",
        "first/x answers again",
    ]


async def test_the_log_promises_no_model_after_the_last(
    make_runtime: MakeRuntime, caplog: pytest.LogCaptureFixture
) -> None:
    runtime, _ = await serving(make_runtime, first=[DOWN], second=[DOWN])
    with caplog.at_level(logging.WARNING, "llmspell.providers"), pytest.raises(LLMSpellError):
        await (await runtime.providers.get("fallback")).complete(request("first/x, second/y"))
    assert [record.getMessage() for record in caplog.records] == [
        "first/x cannot answer, the next model of the chain is asked: nobody is there",
        "second/y cannot answer, and it is the last of the chain: nobody is there",
    ]


@pytest.mark.parametrize("error", [ContentRefusedError("no"), ValidationError("wrong", field="x")])
async def test_a_refusal_and_a_wrong_request_end_the_chain(make_runtime: MakeRuntime, error: LLMSpellError) -> None:
    runtime, made = await serving(make_runtime, first=[error], second=[say("hi")])
    with pytest.raises(type(error)):
        await (await runtime.providers.get("fallback")).complete(request("first/x, second/y"))
    assert not made["second"].requests


async def test_when_nobody_can_answer_all_reasons_are_told(make_runtime: MakeRuntime) -> None:
    runtime, _ = await serving(make_runtime, first=[DOWN], second=[OverloadedError("busy", hint="Wait.")])
    provider = await runtime.providers.get("fallback")
    with pytest.raises(ProviderError) as caught:
        await provider.complete(request("first/x, second/y"))
    assert caught.value.message.endswith("first/x: nobody is there; second/y: busy")
    assert caught.value.hint == "Start it. Wait."
    with pytest.raises(ProviderError):
        await streamed(provider, request("first/x, second/y"))


async def test_a_chain_is_checked_when_the_agent_is_built(make_runtime: MakeRuntime) -> None:
    runtime, _ = await serving(make_runtime, first=[say("hi")])
    with pytest.raises(NotFoundError, match="nowhere"):
        runtime.providers.resolve(["first/x", "nowhere/y"])
    with pytest.raises(ValidationError, match="no base_url"):
        await runtime.providers.get("fallback", base_url="http://127.0.0.1:9")
    spec = runtime.providers.resolve("first/x, first/y")
    assert runtime.providers.resolve(spec.model, spec.provider) == spec
    assert runtime.providers.resolve(str(spec)) == spec
    assert str(runtime.providers.resolve(["first/x"])) == "first/x"


async def test_the_backend_of_a_local_model_chooses_its_provider(make_runtime: MakeRuntime) -> None:
    runtime, _ = await serving(make_runtime, local=[say("hi")], ollama=[say("hi")])
    assert runtime.providers.resolve("local/llama3.2:3b@ollama").provider == "ollama"
    assert runtime.providers.resolve("local/smollm2").provider == "local"


# -- prices ---------------------------------------------------------------------------------------------------------------


async def test_an_answer_costs_what_the_configuration_says(make_runtime: MakeRuntime) -> None:
    prices = {"prices": {"any": {"input": 2.0, "output": 10.0}, "*": {"input": 0.0, "output": 1.0}}}
    reply = say("hi", input_tokens=1_000_000, output_tokens=100_000)
    runtime, _ = await serving(make_runtime, {"first": prices}, first=[reply])
    provider = await runtime.providers.get("first")
    assert (await provider.complete(request())).usage.cost_usd == pytest.approx(3.0)
    reply.usage = Usage(1_000_000, 100_000)
    assert (await provider.complete(request("other"))).usage.cost_usd == pytest.approx(0.1)
    reply.usage = Usage(1_000_000, 100_000)
    usage = (await streamed(provider, request()))[-1].usage
    assert usage is not None
    assert usage.cost_usd == pytest.approx(3.0)


async def test_a_price_that_is_none_is_named(make_runtime: MakeRuntime) -> None:
    with pytest.raises(ValidationError, match=r"providers\.first\.prices"):
        await serving(make_runtime, {"first": {"prices": {"any": {"input": 2.0}}}}, first=[say("hi")])
