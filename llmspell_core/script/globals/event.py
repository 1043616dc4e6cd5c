"""The script global `Event`: publish, subscribe, receive."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from llmspell_core.errors import NotFoundError, ResourceLimitError, ValidationError
from llmspell_core.events import Event, EventBus, Inbox, Subscription
from llmspell_core.purse import ENTRY, weigh
from llmspell_core.script.declare import Function, Global, Param
from llmspell_core.script.reference import is_function
from llmspell_core.script.view import spelled

if TYPE_CHECKING:
    from collections.abc import Callable

    from llmspell_core.script.scope import ScriptScope

MOST_SUBSCRIPTIONS = 1_000
LONGEST_TYPE = 256
LANGUAGES = {"lua": "Lua", "javascript": "JavaScript"}


def event_view(scope: ScriptScope, event: Event) -> dict[str, Any]:
    language = LANGUAGES.get(event.language, event.language)
    view = {
        **event.to_dict(),
        "language": language,
        "target_language": None,
        "ttl": event.ttl,
        "topic": event.event_type,
        "serialization_version": "1.0",
    }
    return spelled(scope, view, "metadata")


async def publish(scope: ScriptScope, event_type: str, data: Any, options: dict[str, Any] | None) -> bool:
    given = options or {}
    if not event_type:
        raise ValidationError("Event.publish: the event type must not be empty", field="event_type")
    _check_length(event_type, "event_type")
    ttl = given.get("ttl_seconds")
    hooks = scope.runtime.hooks
    about = {"event_type": event_type, "data": data}
    await hooks.fire("BeforeEventEmit", event_type, about, type="event")
    data = about["data"]
    event = Event(
        event_type,
        data,
        language=str(given.get("language") or scope.language),
        correlation_id=given.get("correlation_id"),
        ttl=None if ttl is None else float(ttl),
        source="script",
        size=ENTRY + weigh(data),
    )
    scope.runtime.events.publish(event)
    await hooks.fire("AfterEventEmit", event_type, {"event_type": event_type, "data": data}, type="event")
    return True


def _check_length(text: str, field: str) -> None:
    if len(text) > LONGEST_TYPE:
        raise ValidationError(
            f"an event's type may have {LONGEST_TYPE} characters, this one has {len(text):,}",
            field=field,
            hint="What differs from event to event belongs into its data.",
        )


def subscribe(scope: ScriptScope, pattern: str, options: Any, handler: Any) -> str:
    bus: EventBus = scope.runtime.events
    _check_length(pattern, "pattern")
    own = _own(scope)
    if len(own) >= MOST_SUBSCRIPTIONS:
        raise ResourceLimitError(
            "too many subscriptions",
            resource="subscriptions",
            limit=MOST_SUBSCRIPTIONS,
            used=len(own),
            hint="Subscribe to a pattern such as 'user.*', and unsubscribe what is done.",
        )
    function = options if isinstance(options, int) and not isinstance(options, bool) else handler
    if is_function(options):
        function = options
    if function is None:
        subscription = bus.subscribe(pattern, inbox=_inbox(scope))
        subscription.language = scope.language
        id_ = subscription.id
    else:
        callback = scope.callback(function)

        async def deliver(event: Event) -> None:
            await callback(event_view(scope, event))

        id_ = bus.subscribe_with_handler(pattern, deliver, inbox=_inbox(scope))
        bus.get(id_).language = scope.language  # type: ignore[union-attr]  # it was made just now
    own[id_] = scope.on_close(lambda: bus.unsubscribe(id_))
    return id_


def _inbox(scope: ScriptScope) -> Inbox:
    inbox: Inbox | None = scope.data.get("Event.inbox")
    if inbox is None:
        inbox = scope.data["Event.inbox"] = Inbox(scope.purse)
    return inbox


def _own(scope: ScriptScope) -> dict[str, Callable[[], None]]:
    """The subscriptions this script made, by id, with what makes the script's end forget them.

    `list_subscriptions` shows those of others, which are not its to use.
    """
    ids: dict[str, Callable[[], None]] = scope.data.setdefault("Event", {})
    return ids


def _subscription(scope: ScriptScope, id_: str) -> Subscription:
    found: Subscription | None = scope.runtime.events.get(id_) if id_ in _own(scope) else None
    if found is None:
        raise NotFoundError(f"No active subscription found: {id_}", hint="Subscribe first; ids end with unsubscribe.")
    return found


async def receive(scope: ScriptScope, id_: str, timeout_ms: float) -> dict[str, Any] | None:
    event = await _subscription(scope, id_).receive(timeout_ms / 1000)
    return None if event is None else event_view(scope, event)


def unsubscribe(scope: ScriptScope, id_: str) -> bool:
    forget = _own(scope).pop(id_, None)
    if forget is None:
        return False
    forget()
    return bool(scope.runtime.events.unsubscribe(id_))


def list_subscriptions(scope: ScriptScope) -> list[dict[str, Any]]:
    rows: list[Subscription] = scope.runtime.events.subscriptions()
    return [{"id": s.id, "pattern": s.pattern, "language": LANGUAGES.get(s.language, s.language)} for s in rows]


def get_stats(scope: ScriptScope) -> dict[str, Any]:
    bus: EventBus = scope.runtime.events
    subscriptions = bus.subscriptions()
    languages: dict[str, int] = {}
    for subscription in subscriptions:
        word = LANGUAGES.get(subscription.language, subscription.language)
        languages[word] = languages.get(word, 0) + 1
    published = bus.stats.published
    return {
        "event_bus_stats": {
            "events_processed": published,
            "total_published": published,
            "rate_limit_violations": 0,  # this bus has no rate limit: a full buffer forgets its oldest event
            "delivered": bus.stats.delivered,
            "buffer_size": sum(s.pending() for s in subscriptions),
        },
        "total_published": published,
        "bridge_stats": {"active_subscriptions": len(subscriptions), "subscriptions_by_language": languages},
    }


GLOBAL = Global(
    "Event",
    doc="Publish events and receive those of others.",
    functions=(
        Function(
            "publish",
            publish,
            (
                Param("event_type", "string", doc="A dotted name."),
                Param("data", "any", required=False),
                Param(
                    "options",
                    "object",
                    required=False,
                    options=("correlation_id", "ttl_seconds", "language"),
                    doc="`correlation_id`, `ttl_seconds`, `language`.",
                ),
            ),
            "boolean",
            "Publish an event.",
            aliases=("emit",),
        ),
        Function(
            "subscribe",
            subscribe,
            (
                Param("pattern", "string", doc="`user.*`, `*.status`, `*`, or an exact name."),
                Param(
                    "options",
                    "any",
                    required=False,
                    callbacks=("*",),
                    options=("language",),
                    doc="`language`, or a function called per event.",
                ),
                Param("handler", "function", required=False),
            ),
            "string",
            "Receive events from now on; returns the subscription's id.",
        ),
        Function(
            "receive",
            receive,
            (Param("subscription", "string"), Param("timeout_ms", "number", default=5000)),
            "object",
            "The next event, or nil when none came in time.",
            blocking=True,
            async_variant=True,
        ),
        Function("unsubscribe", unsubscribe, (Param("subscription", "string"),), "boolean", "End a subscription."),
        Function("list_subscriptions", list_subscriptions, returns="array", doc="All subscriptions."),
        Function("get_stats", get_stats, returns="object", doc="Counts of the bus."),
    ),
)
