"""What a handler sees of the script that called it."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

from llmspell_core.errors import ResourceLimitError, ScriptError, ValidationError
from llmspell_core.purse import OBJECT, Purse
from llmspell_core.script.reference import Reference, is_function, is_object

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from llmspell_core.context import ExecutionContext
    from llmspell_core.desk import Desk
    from llmspell_core.script.callbacks import Patience

MOST_OBJECTS = 100_000
MOST_HELD = 256_000_000
ONCE = "Make agents, hooks and timers once and use them again, instead of making new ones in a loop."

__all__ = ["HandleRef", "ScriptScope", "Session", "gone"]

log = logging.getLogger("llmspell.script")


class Session(Protocol):
    """The part of a script session that scopes need."""

    async def invoke(self, callback: int, args: list[Any], patience: Patience | None = None) -> Any: ...


@dataclass(slots=True)
class HandleRef:
    """A host object on its way to a script."""

    kind: str
    id: int
    fields: dict[str, Any]

    def to_wire(self, mark: str) -> dict[str, Any]:
        """As the VM knows it; see `llmspell_core.script.reference`."""
        return {f"$handle{mark}": self.kind, "id": self.id, "fields": self.fields}


class ScriptScope:
    """Everything one script session holds in the host. First argument of every handler.

    Attributes:
        runtime: the desk (`Runtime`).
        context: the execution context of this script; child contexts are made from it.
        language, script_name, script_dir: of the script that runs; `script_dir` is None for source text.
        data: for globals that keep something per script; key it by the global's name.
        profile: "high", "medium" or "low".
        call_bytes: of memory that the arguments take of the call that is being answered.
        purse: what this script may make the host hold; whatever keeps something for it pays from here.
        stdin: answers the next piece of input (or an awaitable of it), None at the end; None: there is no input.
    """

    def __init__(
        self,
        runtime: Desk,
        context: ExecutionContext | None,
        session: Session,
        fields_of: Callable[[str], tuple[str, ...]],
        *,
        language: str = "",
        profile: str = "medium",
        held_bytes: int = MOST_HELD,
    ) -> None:
        self.runtime = runtime
        self._context = context
        self.language = language
        self.profile = profile
        self.script_name = ""
        self.script_dir: str | None = None
        self.call_bytes = 0
        self.purse = Purse("host", held_bytes)
        self.stdin: Callable[[], Any] | None = None
        self.process_id = 0
        self.data: dict[str, Any] = {}
        self._session = session
        self._fields_of = fields_of
        self._objects: dict[int, tuple[str, Any]] = {}
        self._ids: dict[tuple[str, int], int] = {}
        self._closers: dict[int, Callable[[], Any]] = {}
        self._next_closer = 0

    @property
    def context(self) -> ExecutionContext:
        if self._context is None:
            self._context = self.runtime.context()
        assert self._context is not None
        if self._context.purse is None:
            self._context.purse = self.purse
        return self._context

    # -- callbacks --------------------------------------------------------------------------------------------------

    def callback(self, function: int | Reference, patience: Patience | None = None) -> Callable[..., Awaitable[Any]]:
        """An async callable for a script function: an id, or what stands for it inside an object.

        Calling it raises ScriptError when the function raises or its script has ended, and TimeoutError when
        `patience` is at its end.
        """
        callback = function.id if is_function(function) else function
        if not isinstance(callback, int):
            raise ValidationError("a function is expected here", hint="Pass a function of the script.")

        async def call(*args: Any) -> Any:
            return await self._session.invoke(callback, list(args), patience)

        return call

    # -- objects ----------------------------------------------------------------------------------------------------

    def handle(self, kind: str, obj: Any) -> HandleRef:
        """`obj` as a handle of the declared `kind`; the same object always gets the same id."""
        known = self._ids.get((kind, id(obj)))
        if known is None:
            self._check_room()
            self.purse.take(OBJECT + self.call_bytes)  # it may keep all of what it was given
            known = len(self._objects) + 1
            self._objects[known] = (kind, obj)
            self._ids[kind, id(obj)] = known
        return HandleRef(kind, known, {name: _field(obj, name) for name in self._fields_of(kind)})

    def _check_room(self) -> None:
        """Raises: ResourceLimitError; what a script holds in the host is not under its memory limit."""
        if len(self._objects) >= MOST_OBJECTS or len(self._closers) >= MOST_OBJECTS:
            raise ResourceLimitError(
                "this script holds too many objects",
                resource="objects",
                limit=MOST_OBJECTS,
                used=max(len(self._objects), len(self._closers)),
                hint=ONCE,
            )

    def keep(self) -> None:
        """The call that is being answered leaves what it was given in the host, until the script ends.

        Called before a handler's first `await`. Raises: ResourceLimitError when there is no room for it.
        """
        self.purse.take(OBJECT + self.call_bytes)

    def put(self, kind: str, obj: Any) -> int:
        """Keeps `obj` for the script; returns its id."""
        return self.handle(kind, obj).id

    def get(self, id_: Any, kind: str | None = None) -> Any:
        """The object of a handle id, or of what stood for it in an argument.

        Raises:
            ValidationError: there is no such object (of that kind) in this script.
        """
        number = id_.id if is_object(id_) else id_
        found = self._objects.get(number) if isinstance(number, int) else None
        if found is None or (kind is not None and found[0] != kind):
            raise ValidationError(
                f"this is not {'an object' if kind is None else f'a {kind}'} of this script",
                hint="Methods are called with a colon in Lua: object:method().",
            )
        return found[1]

    def resolve(self, value: Any) -> Any:
        """`value` with every handle in it replaced by its object."""
        if is_object(value):
            return self.get(value)
        if isinstance(value, dict):
            return {key: self.resolve(item) for key, item in value.items()}
        return [self.resolve(item) for item in value] if isinstance(value, list) else value

    # -- the end ----------------------------------------------------------------------------------------------------

    def on_close(self, closer: Callable[[], Any]) -> Callable[[], None]:
        """Have `closer` called (and awaited, if it is a coroutine) when the script's session ends.

        Returns what forgets it again, for something that has ended before.
        """
        self._check_room()
        self.purse.take(OBJECT)
        self._next_closer += 1
        number = self._next_closer
        self._closers[number] = closer

        def forget() -> None:
            if self._closers.pop(number, None) is not None:
                self.purse.give_back(OBJECT)

        return forget

    async def close(self) -> None:
        for closer in reversed(list(self._closers.values())):
            try:
                result = closer()
                if hasattr(result, "__await__"):
                    await result
            except Exception as error:  # noqa: BLE001 - the others must still be closed
                log.warning("closing a script failed: %s: %s", type(error).__name__, error)
        self._closers.clear()
        self._objects.clear()
        self._ids.clear()
        if self._context is not None and self._context.purse is self.purse:
            self._context.purse = None


def _field(obj: Any, name: str) -> Any:
    return obj.get(name) if isinstance(obj, dict) else getattr(obj, name, None)


def gone(name: str) -> ScriptError:
    """The error of using a script that has ended."""
    return ScriptError(f"the script '{name}' has ended", phase="exit", hint="Its callbacks cannot be called any more.")
