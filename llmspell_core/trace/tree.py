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

    def by_model(self) -> list[dict[str, Any]]:
        """What each model was used for here and below: `provider`, `model`, `calls`, tokens, `cost_usd`; sorted."""
        sums: dict[tuple[str, str], tuple[int, Usage]] = {}
        for span in self.every():
            if span.kind == "model":
                key, (calls, usage) = _model_of(span), sums.get(_model_of(span), (0, Usage()))
                used = Usage(span.input_tokens or 0, span.output_tokens or 0, span.cost_usd)
                sums[key] = (calls + 1, usage + used)
        return [
            {"provider": key[0], "model": key[1], "calls": calls} | usage.to_dict()
            for key, (calls, usage) in sorted(sums.items())
        ]

    @property
    def duration_ms(self) -> float:
        """Until now, while it runs."""
        known = self.span.duration_ms
        return known if known is not None else (time.time() - self.span.started) * 1000

    def to_dict(self) -> dict[str, Any]:
        """The span, its `total` usage, and its `children`."""
        made = self.span.to_dict() | {"total": self.usage().to_dict()}
        return made | {"children": [child.to_dict() for child in self.children]}


def _model_of(span: Span) -> tuple[str, str]:
    """Provider and model; of a chain the one that answered, whose name has its provider in front."""
    provider, model = str(span.attributes.get("provider", "")), span.model or span.name
    if provider == "fallback" and "," not in model:
        provider, _, model = model.partition("/")
    return provider, model


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
