"""The context of one execution: who asks, for whom, with what data, and through which desk."""

from __future__ import annotations

import logging
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

from llmspell_core.errors import ComponentError, ValidationError
from llmspell_core.messages import new_id
from llmspell_core.purse import ENTRY, Purse, weigh

if TYPE_CHECKING:
    from llmspell_core.desk import Desk
    from llmspell_core.policy import Files, Http, Process

__all__ = ["ContextScope", "EventMetadata", "ExecutionContext", "InheritancePolicy", "SharedMemory"]

InheritancePolicy = Literal["inherit", "copy", "isolate", "share"]
SHARED_BYTES = 50_000_000
SCOPE_WORDS = ("global", "session", "workflow", "agent", "user")


@dataclass(frozen=True, slots=True)
class ContextScope:
    """`global`, or `session:<id>`, `workflow:<id>`, `agent:<id>`, `user:<id>`."""

    kind: str = "global"
    id: str | None = None

    @classmethod
    def parse(cls, value: str | dict[str, Any]) -> ContextScope:
        """Reads `"global"`, `"session:42"` or `{"type": "session", "id": "42"}`.

        Raises:
            ValidationError: an unknown word, or an id that is missing.
        """
        kind, id_ = (value.get("type"), value.get("id")) if isinstance(value, dict) else _split(value)
        if kind not in SCOPE_WORDS or (kind != "global" and not id_):
            raise ValidationError(
                f"'{value}' is not a scope",
                field="scope",
                hint=f"Use 'global' or {{type=..., id=...}} with one of {SCOPE_WORDS[1:]}.",
            )
        return cls(str(kind), None if kind == "global" else str(id_))

    def __str__(self) -> str:
        return self.kind if self.id is None else f"{self.kind}:{self.id}"


def _split(text: str) -> tuple[str, str | None]:
    kind, _, id_ = text.partition(":")
    return kind, id_ or None


@dataclass(slots=True)
class EventMetadata:
    trace_id: str | None = None
    span_id: str | None = None
    parent_span_id: str | None = None
    correlation_id: str | None = None
    attributes: dict[str, str] = field(default_factory=dict)


class SharedMemory:
    """Values that contexts of one scope see together: scope -> key -> value. They outlive the script that left them."""

    def __init__(self) -> None:
        self._scopes: dict[str, dict[str, Any]] = {}
        self._sizes: dict[tuple[str, str], int] = {}
        self._purse = Purse("shared memory", SHARED_BYTES)

    def get(self, scope: ContextScope, key: str) -> Any:
        return self._scopes.get(str(scope), {}).get(key)

    def set(self, scope: ContextScope, key: str, value: Any) -> None:
        """Raises: ResourceLimitError when all of it would be too large; what was there before stays."""
        place, size = str(scope), ENTRY + weigh(key) + weigh(value)
        self._purse.take(size - self._sizes.get((place, key), 0))
        self._sizes[place, key] = size
        self._scopes.setdefault(place, {})[key] = value

    def remove(self, scope: ContextScope, key: str) -> None:
        self._scopes.get(str(scope), {}).pop(key, None)
        self._purse.give_back(self._sizes.pop((str(scope), key), 0))

    def keys(self, scope: ContextScope) -> list[str]:
        return list(self._scopes.get(str(scope), {}))

    def clear_scope(self, scope: ContextScope) -> None:
        for key in self._scopes.pop(str(scope), {}):
            self._purse.give_back(self._sizes.pop((str(scope), key)))


GLOBAL_SCOPE = ContextScope()


class ExecutionContext:
    """One execution. Made by the runtime (`runtime.context()`), handed to every component.

    Tools reach files, hosts and processes only through `files`, `http` and `process`, which check the policy.
    """

    __slots__ = (
        "_id",
        "_metadata",
        "_parent",
        "agent_depth",
        "conversation_id",
        "data",
        "depth",
        "desk",
        "handoffs",
        "inheritance",
        "permissions",
        "purse",
        "scope",
        "session_id",
        "shared_memory",
        "tool_name",
        "user_id",
    )

    def __init__(
        self,
        desk: Desk | None = None,
        *,
        scope: ContextScope = GLOBAL_SCOPE,
        parent: ExecutionContext | None = None,
        inheritance: InheritancePolicy = "inherit",
        data: dict[str, Any] | None = None,
    ) -> None:
        self.desk = desk
        self.scope = scope
        self.inheritance = inheritance
        self.data: dict[str, Any] = {} if data is None else data
        self._id: str | None = None
        self._parent = parent
        self._metadata: EventMetadata | None = parent.metadata if parent else None
        self.conversation_id: str | None = parent.conversation_id if parent else None
        self.user_id: str | None = parent.user_id if parent else None
        self.session_id: str | None = parent.session_id if parent else None
        self.shared_memory: SharedMemory | None = parent.shared_memory if parent else None
        self.permissions: frozenset[str] | None = parent.permissions if parent else None
        self.purse: Purse | None = parent.purse if parent else None
        """What the script may make the host hold that all this is done for; None when no script asked."""
        self.tool_name: str | None = parent.tool_name if parent else None
        self.depth: int = parent.depth + 1 if parent else 0
        self.handoffs: tuple[str, ...] = parent.handoffs if parent else ()
        self.agent_depth: int = parent.agent_depth if parent else 0

    @property
    def id(self) -> str:
        """A UUID, made when first asked for: most executions never need it."""
        if self._id is None:
            self._id = new_id()
        return self._id

    @property
    def parent_id(self) -> str | None:
        return self._parent.id if self._parent else None

    @property
    def metadata(self) -> EventMetadata:
        if self._metadata is None:
            self._metadata = EventMetadata()
        return self._metadata

    @property
    def correlation_id(self) -> str:
        """Shared by everything that one request causes."""
        if self.metadata.correlation_id is None:
            self.metadata.correlation_id = new_id()
        return self.metadata.correlation_id

    def create_child(
        self, scope: ContextScope | None = None, policy: InheritancePolicy = "inherit"
    ) -> ExecutionContext:
        """A context below this one; "inherit" takes all of `data` along, "copy" only `conversation_context`."""
        data = dict(self.data) if policy == "inherit" else {}
        if policy == "copy" and "conversation_context" in self.data:
            data["conversation_context"] = self.data["conversation_context"]
        return ExecutionContext(self.desk, scope=scope or self.scope, parent=self, inheritance=policy, data=data)

    def get(self, key: str) -> Any:
        """Own data, then shared memory of this scope, then the parent when the policy reads through."""
        if key in self.data:
            return self.data[key]
        shared = self.get_shared(self.scope, key)
        if shared is None and self._parent is not None and self.inheritance in {"inherit", "share"}:
            return self._parent.get(key)
        return shared

    def set(self, key: str, value: Any) -> None:
        self.data[key] = value

    def get_shared(self, scope: ContextScope, key: str) -> Any:
        return self.shared_memory.get(scope, key) if self.shared_memory else None

    def set_shared(self, key: str, value: Any) -> None:
        if self.shared_memory is None:
            self.shared_memory = SharedMemory()
        self.shared_memory.set(self.scope, key, value)

    def has_capability(self, name: str) -> bool:
        return name in (self.get("capabilities") or ())

    @property
    def files(self) -> Files:
        """Policy-checked file access. Raises: SecurityError for a path outside `tools.file_operations.allowed_paths`."""
        return self.require_desk().policy.files(self)

    @property
    def http(self) -> Http:
        """Policy-checked HTTP. Raises: SecurityError for a host that is not allowed."""
        return self.require_desk().policy.http(self)

    @property
    def process(self) -> Process:
        """Policy-checked child processes. Raises: SecurityError for a program that is not allowed."""
        return self.require_desk().policy.process(self)

    @property
    def settings(self) -> dict[str, Any]:
        """The `[tools.<name>]` table of the running tool."""
        return self.require_desk().tools.settings(self.tool_name or "")

    @property
    def log(self) -> logging.Logger:
        return logging.getLogger(f"llmspell.tool.{self.tool_name}" if self.tool_name else "llmspell")

    def require_desk(self) -> Desk:
        if self.desk is None:
            raise ComponentError("this context has no runtime", hint="Make it with runtime.context().")
        return self.desk

    def to_dict(self) -> dict[str, Any]:
        return {
            "id": self.id,
            "parent_id": self.parent_id,
            "scope": str(self.scope),
            "inheritance": self.inheritance,
            "conversation_id": self.conversation_id,
            "user_id": self.user_id,
            "session_id": self.session_id,
            "data": self.data,
            "correlation_id": self.correlation_id,
        }
