"""Makes the spans of one runtime and tells its observers. The span around a piece of work is kept in a context variable."""

from __future__ import annotations

import asyncio
import logging
import os
import time
from collections.abc import Awaitable, Callable, Iterable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any, Protocol

from llmspell_core.errors import ApprovalRequiredError
from llmspell_core.redaction import Redaction
from llmspell_core.trace.span import Kind, Span, Status

if TYPE_CHECKING:
    from llmspell_core.provider import Completion, CompletionRequest

__all__ = ["Observer", "Tracer", "annotate", "one_run"]

log = logging.getLogger("llmspell.trace")

Ask = Callable[["CompletionRequest"], Awaitable["Completion"]]


class Observer(Protocol):
    """Is told about every span, on the event loop's thread; it must not wait.

    Registered with `runtime.observe(observer)`, or as a class in the entry-point group `llmspell.observers`. Such a class
    is made with the settings table of its own name, and only when the configuration has that table.
    """

    def started(self, span: Span) -> None: ...

    def ended(self, span: Span) -> None: ...

    def close(self) -> None: ...


_current: ContextVar[tuple[Tracer, Span] | None] = ContextVar("llmspell_span", default=None)
_run: ContextVar[str | None] = ContextVar("llmspell_run", default=None)


@contextmanager
def one_run(run_id: str | None = None) -> Iterator[str]:
    """What begins inside, one after the other, belongs to one run; the first span is its root. Yields the run's id."""
    chosen = run_id or _run.get() or _run_id()
    token = _run.set(chosen)
    try:
        yield chosen
    finally:
        _run.reset(token)


def annotate(**attributes: Any) -> None:
    """Write into the span around the running work. A number is added to the one that is there, a text goes behind it."""
    found = _current.get()
    if found is None:
        return
    tracer, span = found
    for name, value in attributes.items():
        before = span.attributes.get(name)
        made = tracer._clean(value) if isinstance(value, str) else value  # noqa: SLF001 - a function of the same module
        joined = f"{before}; {made}" if isinstance(made, str) else made + (before or 0)
        span.attributes[name] = made if before is None else joined


class Tracer:
    """Args:
    secrets: texts that no span may repeat; values of key variables in the environment are added.
    """

    def __init__(self, secrets: Iterable[str] = ()) -> None:
        self._observers: tuple[Observer, ...] = ()
        self._told: set[tuple[str, str]] = set()
        self._clean = Redaction(secrets).clean

    def add(self, observer: Observer) -> None:
        self._observers = (*self._observers, observer)

    @contextmanager
    def span(self, kind: Kind, name: str, **attributes: Any) -> Iterator[Span]:
        """A span below the one that is open here; what is raised inside ends it as failed or cancelled."""
        above = _current.get()
        parent = above[1] if above is not None and above[0] is self else None
        run_id = parent.run_id if parent is not None else _run.get() or _run_id()
        span = Span(kind, self._clean(name), run_id, os.urandom(8).hex(), parent.id if parent else None)
        span.attributes = attributes
        token = _current.set((self, span))
        begun = time.perf_counter()
        self._tell("started", span)
        try:
            yield span
        except BaseException as error:
            span.fail(error, _status_of(error))
            raise
        finally:
            _current.reset(token)
            self._end(span, begun)

    def _end(self, span: Span, begun: float) -> None:
        span.duration_ms = round((time.perf_counter() - begun) * 1000, 3)
        if span.status == "running":
            span.status = "ok"
        if span.error is not None:
            span.error = self._clean(span.error)
        self._tell("ended", span)

    def model_calls(self, provider: str, ask: Ask) -> Ask:
        """`ask` with a span around each call."""

        async def traced(request: CompletionRequest) -> Completion:
            with self.span("model", request.model, provider=provider) as span:
                span.model = request.model
                completion = await ask(request)
                span.model = completion.model or request.model
                span.use(completion.usage)
                span.attributes["finish_reason"] = completion.finish_reason
                return completion

        return traced

    def _tell(self, what: str, span: Span) -> None:
        for observer in self._observers:
            try:
                getattr(observer, what)(span)
            except Exception as error:  # noqa: BLE001 - who watches must not break what it watches
                kind = type(observer).__name__, type(error).__name__
                level = logging.DEBUG if kind in self._told else logging.WARNING  # a full disk is full for each span
                self._told.add(kind)
                log.log(level, "%s of %s failed: %s: %s", what, *kind, error)

    async def close(self) -> None:
        """Let observers write what they hold; they may take their time there."""
        for observer in self._observers:
            await asyncio.to_thread(observer.close)


def _status_of(error: BaseException) -> Status:
    if isinstance(error, asyncio.CancelledError):
        return "cancelled"
    return "waiting" if isinstance(error, ApprovalRequiredError) else "error"


def _run_id() -> str:
    """Sorts by time."""
    return time.strftime("%Y%m%d-%H%M%S-", time.gmtime()) + os.urandom(4).hex()
