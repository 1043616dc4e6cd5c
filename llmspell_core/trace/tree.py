"""The tree of a run, and its sums."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

from llmspell_core.messages import Usage
from llmspell_core.trace.span import Span

__all__ = ["Node", "tree_of"]


@dataclass(slots=True)
class Node:
    span: Span
    children: list[Node] = field(default_factory=list)

    def usage(self) -> Usage:
        """Of all model calls here and below; agents repeat what their calls used, so only calls are counted."""
        span = self.span
        if span.kind == "model":
            return Usage(span.input_tokens or 0, span.output_tokens or 0, span.cost_usd)
        return sum((child.usage() for child in self.children), Usage())

    def every(self) -> Iterator[Span]:
        yield self.span
        for child in self.children:
            yield from child.every()

    @property
    def duration_ms(self) -> float:
        """Until now, while it runs."""
        known = self.span.duration_ms
        return known if known is not None else (time.time() - self.span.started) * 1000

    def to_dict(self) -> dict[str, Any]:
        """The span, its `total` usage, and its `children`."""
        made = self.span.to_dict() | {"total": self.usage().to_dict()}
        return made | {"children": [child.to_dict() for child in self.children]}


def tree_of(spans: Iterable[Span]) -> Node | None:
    """The root. A span whose parent is not known hangs below the root. None without spans."""
    nodes = {span.id: Node(span) for span in spans}
    root = next((node for node in nodes.values() if node.span.parent_id is None), None)
    if root is None:
        return next(iter(nodes.values()), None)
    for node in nodes.values():
        if node is not root:
            nodes.get(node.span.parent_id or "", root).children.append(node)
    return root
