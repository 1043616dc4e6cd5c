"""The hooks of one runtime, and the chain that runs them."""

from __future__ import annotations

import asyncio
import inspect
import itertools
import logging
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from llmspell_core.errors import CancelledByHookError, ConfigurationError, ResourceLimitError, ValidationError
from llmspell_core.foreign import describe, is_its_own
from llmspell_core.hooks.nesting import inside, links
from llmspell_core.hooks.points import parse_point, parse_priority
from llmspell_core.hooks.result import HookContext, HookOutcome, HookResult
from llmspell_core.messages import new_id

if TYPE_CHECKING:
    from llmspell_core.component import BaseAgent
    from llmspell_core.context import ExecutionContext

__all__ = ["HookHandle", "Hooks"]

log = logging.getLogger("llmspell.hooks")

DEFAULT_TIMEOUT = 5.0
MOST_NESTED = 8
"""Hooks that may run inside one another. None runs inside itself, so it takes as many different ones."""

_NOTHING = HookOutcome()
_MODIFIED = HookOutcome(modified=True)


@dataclass(slots=True, eq=False)
class HookHandle:
    """One registration. `unregister` is idempotent and says whether the hook was still there."""

    id: str
    point: str
    name: str
    priority: int
    function: Callable[[HookContext], Any]
    language: str = "python"
    description: str = ""
    tags: tuple[str, ...] = ()
    timeout: float = DEFAULT_TIMEOUT
    keeps_time: bool = False
    order: int = 0
    registry: Hooks | None = None

    def unregister(self) -> bool:
        registry, self.registry = self.registry, None
        return registry is not None and registry.remove(self)

    def to_dict(self) -> dict[str, Any]:
        return {
            "id": self.id,
            "name": self.name,
            "hook_point": self.point,
            "priority": self.priority,
            "language": self.language,
            "version": "1.0.0",
            "description": self.description,
            "tags": list(self.tags),
        }


class Hooks:
    """The hooks of one runtime, and the chain that runs them."""

    def __init__(self, *, timeout: float = DEFAULT_TIMEOUT, enabled: bool = True) -> None:
        self.enabled = enabled
        self.active: dict[str, tuple[HookHandle, ...]] = {}
        self.timeout = timeout
        self.executions = 0
        self._order = itertools.count()
        self._warned: set[tuple[str, str]] = set()

    def register(
        self,
        point: str,
        function: Callable[[HookContext], Any],
        priority: str | int | None = None,
        *,
        name: str | None = None,
        language: str = "python",
        description: str = "",
        tags: Iterable[str] = (),
        timeout: float | None = None,
        keeps_time: bool = False,
    ) -> HookHandle:
        """Listen at a point.

        Args:
            function: called with a `HookContext`; may be async.
            priority: a number or highest, high, normal, low, lowest; lower numbers run first.
            timeout: seconds after which an async hook is stopped and skipped.
            keeps_time: `function` ends in time by itself, with a TimeoutError.

        Raises:
            ValidationError: unknown point or priority, or a name that is taken at this point.
            ConfigurationError: hooks are switched off.
        """
        if not self.enabled:
            raise ConfigurationError(
                "hooks are switched off", setting="hooks.enabled", hint="Set hooks.enabled = true."
            )
        point = parse_point(point)
        id_ = new_id("hook")
        handle = HookHandle(
            id_,
            point,
            name or str(getattr(function, "__name__", id_)),
            parse_priority(priority),
            function,
            language,
            description,
            tuple(tags),
            self.timeout if timeout is None else timeout,
            keeps_time,
            next(self._order),
            self,
        )
        self._add(handle, explicit_name=name is not None)
        return handle

    def _add(self, handle: HookHandle, *, explicit_name: bool) -> None:
        present = self.active.get(handle.point, ())
        if explicit_name and any(h.name == handle.name for h in present):
            raise ValidationError(f"a hook named '{handle.name}' is already registered at {handle.point}", field="name")
        # A new tuple each time: a chain that is running keeps the one it started with.
        self.active[handle.point] = tuple(sorted((*present, handle), key=lambda h: (h.priority, h.order)))

    def remove(self, handle: HookHandle) -> bool:
        present = self.active.get(handle.point, ())
        left = tuple(h for h in present if h is not handle)
        if left:
            self.active[handle.point] = left
        else:
            self.active.pop(handle.point, None)
        return len(left) < len(present)

    def find(self, id_: str) -> HookHandle | None:
        return next((h for h in self.registered() if h.id == id_), None)

    def registered(
        self,
        point: str | None = None,
        *,
        language: str | None = None,
        priority: int | None = None,
        tag: str | None = None,
    ) -> list[HookHandle]:
        chosen = self.active.get(parse_point(point), ()) if point else itertools.chain(*self.active.values())
        return [
            h
            for h in chosen
            if (language is None or h.language == language)
            and (priority is None or h.priority == priority)
            and (tag is None or tag in h.tags)
        ]

    def any_active(self, *points: str) -> bool:
        active = self.active
        return bool(active) and not active.keys().isdisjoint(points)

    def context(self, point: str, component: BaseAgent, context: ExecutionContext, data: dict[str, Any]) -> HookContext:
        metadata = {
            key: value
            for key, value in (("session_id", context.session_id), ("user_id", context.user_id))
            if value is not None
        }
        return HookContext(point, component.name, component.component_type, data, context.correlation_id, metadata)

    async def fire(self, point: str, name: str, data: dict[str, Any], *, type: str = "system") -> HookOutcome:
        """Run the chain of a point that does not belong to a component's execution."""
        if point not in self.active:
            return _NOTHING
        return await self.run(HookContext(point, name, type, data, new_id()))

    async def run(self, context: HookContext) -> HookOutcome:
        """Run the chain of `context.point`. A hook does not see what it brings about itself.

        Raises:
            CancelledByHookError: a hook said so; the message carries its reason.
            ValidationError: a hook gave an answer that does not exist.
            ResourceLimitError: too many hooks run inside one another.
        """
        outcome = _NOTHING
        for handle in self.active.get(context.point, ()):
            if _runs_around(handle):
                continue
            result = await self._call(handle, context)
            kind = result.kind
            if kind == "continue" or kind == "skipped":
                continue
            if kind == "modified":
                _merge(context.data, result.data)
                outcome = _MODIFIED
            elif kind == "cancel":
                raise _cancelled(handle, result)
            elif kind == "replace":
                return HookOutcome(replaced=True, value=result.data)
            else:
                self._warn_once(handle, kind)
        return outcome

    async def _call(self, handle: HookHandle, context: HookContext) -> HookResult:
        self.executions += 1
        try:
            with inside(handle):
                value = handle.function(context)
                if inspect.isawaitable(value):
                    async with asyncio.timeout(None if handle.keeps_time else handle.timeout):
                        value = await value
        except TimeoutError:
            log.warning(
                "hook %s at %s took longer than %s s and was skipped", handle.name, handle.point, handle.timeout
            )
        except BaseException as error:  # a broken hook must not break what it watches
            if not is_its_own(error):
                raise
            log.warning("hook %s at %s raised %s; going on", handle.name, handle.point, describe(error))
        else:
            return _read(handle, value)
        return HookResult.proceed()

    def _warn_once(self, handle: HookHandle, kind: str) -> None:
        if (handle.id, kind) not in self._warned:
            self._warned.add((handle.id, kind))
            log.warning("%s cannot honour '%s' (hook %s); going on", handle.point, kind, handle.name)

    def load_plugin(self, plugin: object, name: str) -> list[HookHandle]:
        """Register a pluggy plugin: its implementations are checked against the specs, then join the chains.

        Raises:
            PluginError: an implementation's signature or name does not fit a spec.
        """
        from llmspell_core.hooks.plugins import implementations

        return [
            self.register(point, call, priority, name=f"{name}:{point}", tags=("plugin",))
            for point, call, priority in implementations(plugin, name)
        ]


def _read(handle: HookHandle, value: Any) -> HookResult:
    """Raises: ValidationError that names the hook."""
    try:
        return HookResult.from_value(value)
    except ValidationError as error:
        error.message = f"hook '{handle.name}' at {handle.point}: {error.message}"
        raise


def _runs_around(handle: HookHandle) -> bool:
    """Whether it is this hook that brings about what it would see now.

    Raises:
        ResourceLimitError: too many others do.
    """
    around = [link.owner for link in links() if isinstance(link.owner, HookHandle)]
    if handle in around:
        return True
    if len(around) >= MOST_NESTED:
        points = " > ".join(each.point for each in around)
        raise ResourceLimitError(
            f"hooks run inside one another {MOST_NESTED} deep: {points} > {handle.point}",
            resource="nested hooks",
            limit=MOST_NESTED,
            used=len(around) + 1,
            hint="These hooks start what other hooks listen to. Let them do less, or unregister one of them.",
        )
    return False


def _cancelled(handle: HookHandle, result: HookResult) -> CancelledByHookError:
    reason = result.reason or "cancelled by a hook"
    return CancelledByHookError(
        reason, hint=f"Hook '{handle.name}' at {handle.point} cancelled it.", hook_point=handle.point
    )


def _merge(data: dict[str, Any], changes: Any) -> None:
    """Merge a hook's data. Without a key of the operation's own it is taken for its main part."""
    if not isinstance(changes, Mapping):
        return
    main = next((key for key in ("result", "parameters", "input") if key in data), None)
    if main is not None and not set(changes) & set(data):
        changes = {main: changes}
    for key, value in changes.items():
        present = data.get(key)
        if isinstance(present, dict) and isinstance(value, Mapping):
            present.update(value)
        else:
            data[key] = value
