"""The event bus: in process, asynchronous, a bounded queue per subscriber.

`publish` never waits for a handler. A subscriber that is too slow loses its oldest events, and can see how many.
"""

from __future__ import annotations

import asyncio
import itertools
import logging
import re
import time
import uuid
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Self

from llmspell_core.errors import ConfigurationError, ValidationError
from llmspell_core.messages import new_id, plain
from llmspell_core.purse import ENTRY, Purse, weigh

if TYPE_CHECKING:
    from llmspell_core.context import ExecutionContext
    from llmspell_core.hooks import Hooks

__all__ = ["Event", "EventBus", "EventStats", "Inbox", "Subscription"]

log = logging.getLogger("llmspell.events")
QUEUE_SIZE = 10_000
QUEUE_BYTES = 32_000_000
"""Of memory, for what scripts publish, as far as one subscriber has not taken it."""
INBOX_BYTES = 64_000_000
"""The same for all subscriptions of one script, and for whatever they receive."""
_sequence = itertools.count(1)


class Event:
    """Something that happened. `id`, `timestamp` and `correlation_id` are made when first asked for, if not given."""

    __slots__ = (
        "_correlation_id",
        "_created",
        "_id",
        "data",
        "event_type",
        "language",
        "sequence",
        "size",
        "source",
        "tags",
        "ttl",
    )

    def __init__(
        self,
        event_type: str,
        data: Any = None,
        *,
        language: str = "native",
        correlation_id: str | None = None,
        ttl: float | None = None,
        source: str | None = None,
        tags: tuple[str, ...] = (),
        size: int = 0,
    ) -> None:
        """`size`: bytes that the data takes, where that was not chosen by trusted code."""
        self.event_type = event_type
        self.data = data
        self.language = language
        self.ttl = ttl
        self.source = source
        self.tags = tags
        self.size = size
        self.sequence = next(_sequence)
        self._created = time.time()
        self._id: str | None = None
        self._correlation_id = correlation_id

    @property
    def id(self) -> str:
        if self._id is None:
            self._id = str(uuid.uuid4())
        return self._id

    @property
    def correlation_id(self) -> str:
        if self._correlation_id is None:
            self._correlation_id = str(uuid.uuid4())
        return self._correlation_id

    @property
    def timestamp(self) -> datetime:
        return datetime.fromtimestamp(self._created, UTC)

    def is_expired(self) -> bool:
        """Whether `ttl` seconds have passed since the event was made."""
        return self.ttl is not None and time.time() - self._created >= self.ttl

    def to_dict(self) -> dict[str, Any]:
        metadata = {
            "correlation_id": self.correlation_id,
            "source": self.source,
            "target": None,
            "tags": list(self.tags),
            "priority": 0,
            "ttl": self.ttl,
        }
        return {
            "id": self.id,
            "event_type": self.event_type,
            "data": plain(self.data),
            "language": self.language,
            "timestamp": self.timestamp.isoformat(),
            "sequence": self.sequence,
            "correlation_id": self.correlation_id,
            "metadata": metadata,
            "schema_version": "1.0",
        }


def compile_pattern(pattern: str) -> Callable[[str], bool]:
    """A test for event types: exact, `prefix*`, `*.suffix`, `a.*.c` (one segment), `**` (any depth), `*` (all).

    Raises:
        ValidationError: an empty pattern.
    """
    if not pattern:
        raise ValidationError("an event pattern must not be empty", field="pattern", hint="Use '*' for all events.")
    if pattern in {"*", "**"}:
        return lambda _type: True
    if "*" not in pattern:
        return pattern.__eq__
    head, star = pattern[:-1], pattern.endswith("*")
    if star and "*" not in head:
        return lambda type_: type_.startswith(head)
    return re.compile(_glob_to_regex(pattern)).fullmatch  # type: ignore[return-value]


def _glob_to_regex(pattern: str) -> str:
    """A leading or trailing `*` spans segments (`*.status`, `user.*`), one in the middle stays within its segment.

    What stands between two wildcards is taken where it comes first and not looked for again (atomic groups): no pattern
    makes the search explode.
    """
    body, head, tail = pattern, pattern.startswith("*"), pattern.endswith("*")
    cores = re.split(r"\*\*", body.removeprefix("**").removesuffix("**").strip("*"))
    *before, last = cores
    found = "".join(f"(?>{'' if i == 0 and not head else '.*?'}{_core(c)})" for i, c in enumerate(before))
    if tail:
        anywhere = ".*?" if before or head else ""
        return f"{found}{anywhere}{_core(last)}.*"
    return f"{found}{'.*' if before or head else ''}{_core(last, at_end=True)}"


def _core(text: str, *, at_end: bool = False) -> str:
    """Text with `*` for anything but a dot."""
    first, *rest = map(re.escape, text.split("*"))
    if not rest:
        return first
    *middle, last = rest
    taken = "".join(f"(?>[^.]*?{part})" for part in middle)
    return first + taken + (f"[^.]*{last}" if at_end else f"(?>[^.]*?{last})")


class Inbox:
    """The subscriptions of one script: what waits in all of them together has a limit. The fullest ones lose their oldest."""

    def __init__(self, purse: Purse) -> None:
        self.purse = Purse("events", INBOX_BYTES, purse)
        self.members: set[Subscription] = set()

    def make_room(self, size: int) -> bool:
        """Whether so many bytes can be taken, at least after dropping everything else."""
        while not self.purse.has_room(size):
            fullest = max(self.members, key=lambda member: member.held, default=None)
            if fullest is None or not fullest.held:
                return False
            fullest.drop_oldest()
        return True


class Subscription:
    """The receiving end: an async iterator, and a context manager that unsubscribes."""

    def __init__(self, bus: EventBus, pattern: str, size: int, inbox: Inbox | None = None) -> None:
        self.id = new_id()
        self.pattern = pattern
        self.language = "native"
        self.matches = compile_pattern(pattern)
        self.lagged = 0
        self.closed = False
        self._bus = bus
        self.held = 0
        """Bytes that its events take."""
        self._most = size
        self._queue: deque[tuple[Event, int]] = deque()
        self._inbox = inbox
        self._waiter: asyncio.Future[None] | None = None
        if inbox is not None:
            inbox.members.add(self)

    def deliver(self, event: Event) -> None:
        size = event.size
        if len(self._queue) == self._most:
            self.drop_oldest()
        if self._inbox is not None:
            size = ENTRY + (size or weigh(event.data, QUEUE_BYTES))
            if not self._make_room(self._inbox, size):
                self.lagged += 1
                return
        self._queue.append((event, size))
        self.held += size
        while self.held > QUEUE_BYTES:
            self.drop_oldest()
        waiter = self._waiter
        if waiter is not None and not waiter.done():
            waiter.set_result(None)

    def _make_room(self, inbox: Inbox, size: int) -> bool:
        """Takes so many bytes for a new event; False when it cannot be had, by whatever is dropped."""
        if not inbox.make_room(size):
            return False
        inbox.purse.take(size)
        return True

    def drop_oldest(self) -> None:
        self._taken()
        self.lagged += 1

    def _taken(self) -> Event:
        event, size = self._queue.popleft()
        self.held -= size
        if self._inbox is not None:
            self._inbox.purse.give_back(size)
        return event

    def pending(self) -> int:
        return len(self._queue)

    async def receive(self, timeout: float | None = None) -> Event | None:
        """The next event that has not expired; None after `timeout` seconds or when the subscription has ended."""
        deadline = None if timeout is None else time.monotonic() + timeout
        while True:
            while self._queue:
                event = self._taken()
                if not event.is_expired():
                    return event
            if self.closed:
                return None
            left = None if deadline is None else deadline - time.monotonic()
            if left is not None and left <= 0:
                return None
            await self._wait(left)

    async def _wait(self, timeout: float | None) -> None:
        self._waiter = asyncio.get_running_loop().create_future()
        try:
            async with asyncio.timeout(timeout):
                await self._waiter
        except TimeoutError:
            pass
        finally:
            self._waiter = None

    def close(self) -> None:
        self.closed = True
        self._bus.unsubscribe(self.id)
        if self._inbox is not None:
            self._inbox.members.discard(self)
            while self._queue:
                self._taken()
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    def __aiter__(self) -> AsyncIterator[Event]:
        return self._iterate()

    async def _iterate(self) -> AsyncIterator[Event]:
        while (event := await self.receive()) is not None:
            yield event

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


@dataclass(slots=True)
class EventStats:
    published: int = 0
    delivered: int = 0
    handler_errors: int = 0


class EventBus:
    """One per runtime, shared by every component and script."""

    def __init__(self, *, queue_size: int = QUEUE_SIZE, hooks: Hooks | None = None, enabled: bool = True) -> None:
        self.enabled = enabled
        self.stats = EventStats()
        self._hooks = hooks
        self._queue_size = queue_size
        self._subscriptions: dict[str, Subscription] = {}
        self._matching: dict[str, tuple[Subscription, ...]] = {}
        self._tasks: dict[str, asyncio.Task[None]] = {}

    def wants(self, event_type: str) -> bool:
        """Whether anybody would get this event; lets a busy component skip making it."""
        return bool(self._subscriptions) and bool(self._receivers(event_type))

    def publish(self, event: Event) -> None:
        """Hand the event to every matching subscriber, in the order of publishing. Never waits."""
        self.stats.published += 1
        for subscription in self._receivers(event.event_type):
            subscription.deliver(event)
            self.stats.delivered += 1

    def emit(self, event_type: str, data: Any, context: ExecutionContext | None = None, **options: Any) -> None:
        """Publish if somebody listens. Used by components: its errors never fail the caller."""
        if self.wants(event_type):
            correlation = context.correlation_id if context else None
            self.publish(Event(event_type, data, correlation_id=correlation, **options))

    def _receivers(self, event_type: str) -> tuple[Subscription, ...]:
        found = self._matching.get(event_type)
        if found is None:
            if len(self._matching) > 1000:  # event types made from ids must not fill the memory
                self._matching.clear()
            found = tuple(s for s in self._subscriptions.values() if s.matches(event_type))
            self._matching[event_type] = found
        return found

    def subscribe(
        self, pattern: str = "*", *, queue_size: int | None = None, inbox: Inbox | None = None
    ) -> Subscription:
        """Events published from now on. `inbox`: of the script that subscribes.

        Raises:
            ValidationError: an empty pattern. ConfigurationError: events are switched off.
        """
        if not self.enabled:
            raise ConfigurationError(
                "events are switched off", setting="events.enabled", hint="Set events.enabled = true."
            )
        subscription = Subscription(self, pattern, queue_size or self._queue_size, inbox)
        self._subscriptions[subscription.id] = subscription
        self._matching.clear()
        return subscription

    def subscribe_with_handler(
        self, pattern: str, handler: Callable[[Event], Awaitable[None] | None], *, inbox: Inbox | None = None
    ) -> str:
        """Calls `handler` with each event, one at a time, in a task of the bus. Returns the subscription id."""
        subscription = self.subscribe(pattern, inbox=inbox)
        task = asyncio.get_running_loop().create_task(self._serve(subscription, handler))
        self._tasks[subscription.id] = task
        return subscription.id

    async def _serve(self, subscription: Subscription, handler: Callable[[Event], Awaitable[None] | None]) -> None:
        async for event in subscription:
            try:
                result = handler(event)
                if result is not None:
                    await result
            except Exception as error:  # noqa: BLE001 - one bad subscriber must not stop the others
                await self._handler_failed(event, error)

    async def _handler_failed(self, event: Event, error: Exception) -> None:
        self.stats.handler_errors += 1
        log.warning("a subscriber of %s raised %s: %s", event.event_type, type(error).__name__, error)
        if self._hooks is not None and self._hooks.any_active("EventHandlerError"):
            data = {"event_type": event.event_type, "error": str(error)}
            await self._hooks.fire("EventHandlerError", "event_bus", data)

    def get(self, subscription_id: str) -> Subscription | None:
        return self._subscriptions.get(subscription_id)

    def unsubscribe(self, subscription_id: str) -> bool:
        """Whether there was such a subscription."""
        subscription = self._subscriptions.pop(subscription_id, None)
        if subscription is None:
            return False
        self._matching.clear()
        subscription.close()
        task = self._tasks.pop(subscription_id, None)
        if task is not None:
            task.cancel()
        return True

    def subscriptions(self) -> list[Subscription]:
        return list(self._subscriptions.values())

    async def close(self) -> None:
        """End all subscriptions; handlers see what was published before."""
        tasks = list(self._tasks.values())
        self._tasks.clear()
        await asyncio.sleep(0)
        for subscription in list(self._subscriptions.values()):
            subscription.close()
        if tasks:
            _done, late = await asyncio.wait(tasks, timeout=1)
            for task in late:
                task.cancel()
