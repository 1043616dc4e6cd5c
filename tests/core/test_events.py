"""The event bus: patterns, order, slow subscribers, handlers that raise."""

from __future__ import annotations

import asyncio

import pytest

from llmspell_core.errors import ValidationError
from llmspell_core.events import Event, EventBus, compile_pattern


@pytest.mark.parametrize(
    ("pattern", "yes", "no"),
    [
        ("*", ["a", "a.b.c"], []),
        ("a.b", ["a.b"], ["a.b.c", "a"]),
        ("user.*", ["user.created", "user.a.b"], ["users", "x.user.a"]),
        ("*.status", ["agent.status", "a.b.status"], ["status.x"]),
        ("a.*.c", ["a.b.c"], ["a.b.b.c", "a.c"]),
        ("a.**.c", ["a.b.b.c", "a.b.c"], ["b.c"]),
        ("user*", ["user", "users.x"], ["auser"]),
    ],
)
def test_patterns(pattern: str, yes: list[str], no: list[str]) -> None:
    matches = compile_pattern(pattern)
    assert [t for t in yes if not matches(t)] == []
    assert [t for t in no if matches(t)] == []


def test_an_empty_pattern_is_refused() -> None:
    with pytest.raises(ValidationError):
        EventBus().subscribe("")


async def test_events_arrive_in_order_and_only_after_the_subscription() -> None:
    bus = EventBus()
    bus.publish(Event("t.early"))
    with bus.subscribe("t.*") as subscription:
        for number in range(3):
            bus.publish(Event("t.a", number))
        bus.publish(Event("other"))
        got = [(await subscription.receive(1)).data for _ in range(3)]  # type: ignore[union-attr]
        assert got == [0, 1, 2]
        assert await subscription.receive(0.01) is None


async def test_a_waiting_receiver_wakes_up() -> None:
    bus = EventBus()
    subscription = bus.subscribe("t")
    waiting = asyncio.ensure_future(subscription.receive(5))
    await asyncio.sleep(0)
    bus.publish(Event("t", {"n": 1}))
    event = await waiting
    assert event is not None
    assert event.to_dict()["data"] == {"n": 1}


async def test_a_slow_subscriber_loses_the_oldest_and_can_see_how_many() -> None:
    bus = EventBus(queue_size=10)
    slow, quick = bus.subscribe("*"), bus.subscribe("*", queue_size=100)
    for number in range(25):
        bus.publish(Event("t", number))
    assert (slow.pending(), slow.lagged, quick.pending()) == (10, 15, 25)
    assert (await slow.receive(1)).data == 15  # type: ignore[union-attr]


async def test_expired_events_are_not_delivered() -> None:
    bus = EventBus()
    subscription = bus.subscribe("*")
    bus.publish(Event("old", ttl=0))
    bus.publish(Event("new", ttl=60))
    assert (await subscription.receive(1)).event_type == "new"  # type: ignore[union-attr]


async def test_a_handler_that_raises_does_not_stop_itself_or_others(caplog: pytest.LogCaptureFixture) -> None:
    bus = EventBus()
    seen: list[int] = []

    def handler(event: Event) -> None:
        if event.data == 1:
            raise RuntimeError("boom")
        seen.append(event.data)

    bus.subscribe_with_handler("*", handler)
    for number in range(3):
        bus.publish(Event("t", number))
    await bus.close()
    assert seen == [0, 2]
    assert bus.stats.handler_errors == 1
    assert "boom" in caplog.text


async def test_unsubscribe_ends_the_iterator_and_is_idempotent() -> None:
    bus = EventBus()
    subscription = bus.subscribe("*")
    bus.publish(Event("t", 1))
    assert bus.unsubscribe(subscription.id) is True
    assert bus.unsubscribe(subscription.id) is False
    assert [e.data async for e in subscription] == [1]
    assert not bus.wants("t")


async def test_many_events_leave_no_more_than_the_queue() -> None:
    bus = EventBus(queue_size=1000)
    subscription = bus.subscribe("*")
    for number in range(200_000):
        bus.publish(Event("t", number))
    assert subscription.pending() == 1000
    assert bus.stats.published == 200_000
