"""What a runtime has asked of its providers: requests, tokens and money, by provider and model.

Counted where a call leaves for its provider, once, whoever asked and however deep inside.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from llmspell_core.messages import Record, Usage

__all__ = ["ProviderTotals", "Totals"]


@dataclass(slots=True)
class ProviderTotals(Record):
    """One provider's one model. `cost_usd` is None as long as no price is known.

    `model` is what was asked for, so that a vendor's dated names do not make many of one. `errors` are calls that came to
    nothing, after all attempts.
    """

    provider: str
    model: str
    requests: int = 0
    errors: int = 0
    input_tokens: int = 0
    output_tokens: int = 0
    cost_usd: float | None = None

    @property
    def usage(self) -> Usage:
        return Usage(self.input_tokens, self.output_tokens, self.cost_usd)

    def add(self, usage: Usage) -> None:
        whole = self.usage + usage
        self.input_tokens, self.output_tokens, self.cost_usd = whole.input_tokens, whole.output_tokens, whole.cost_usd


@dataclass(slots=True)
class Totals:
    """All of one runtime."""

    _rows: dict[tuple[str, str], ProviderTotals] = field(default_factory=dict)

    def of(self, provider: str, model: str) -> ProviderTotals:
        return self._rows.setdefault((provider, model), ProviderTotals(provider, model))

    def rows(self, provider: str | None = None) -> list[ProviderTotals]:
        """Sorted by provider and model."""
        return [self._rows[key] for key in sorted(self._rows) if provider in {None, key[0]}]

    def whole(self, provider: str | None = None) -> Usage:
        return sum((row.usage for row in self.rows(provider)), Usage())

    def series(self) -> dict[str, int | float]:
        """As metrics: `provider.requests{model=...,provider=...}` and so on; a cost only where one is known."""
        made: dict[str, int | float] = {}
        for row in self.rows():
            labels = f"{{model={row.model},provider={row.provider}}}"
            counts: dict[str, Any] = {k: v for k, v in row.to_dict().items() if k not in {"provider", "model"}}
            made |= {f"provider.{name}{labels}": value for name, value in counts.items() if value is not None}
        return made
