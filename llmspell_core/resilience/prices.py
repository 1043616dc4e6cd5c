"""What a model call costs: prices are data of the provider's plugin, and the configuration may say otherwise.

A plugin ships `prices.toml` beside its modules: `[TYPE."MODEL"]` with `input` and `output` in USD per million tokens.
"""

from __future__ import annotations

import re
import sys
import tomllib
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from llmspell_core.messages import Usage
from llmspell_core.provider import Provider, ProviderSettings

__all__ = ["Price", "PriceList"]

VERSION = re.compile(r"-(\d{4}-\d{2}-\d{2}|\d{8}|latest)$")
"""`gpt-4o-mini-2024-07-18` costs what `gpt-4o-mini` does."""


@dataclass(frozen=True, slots=True)
class Price:
    """USD per million tokens."""

    input: float
    output: float

    def of(self, usage: Usage) -> float:
        return (usage.input_tokens * self.input + usage.output_tokens * self.output) / 1_000_000


class PriceList:
    """The prices of one `[providers.<name>]` table; false when it knows none."""

    def __init__(self, provider: type[Provider], settings: ProviderSettings) -> None:
        own = settings.options.get("prices") or {}
        self._own = {model: Price(float(e["input"]), float(e["output"])) for model, e in own.items()}
        self._shipped = (
            {} if _is_elsewhere(provider, settings) else _shipped(provider.__module__, settings.provider_type)
        )

    def __bool__(self) -> bool:
        return bool(self._own or self._shipped)

    def charge(self, usage: Usage | None, *models: str) -> None:
        """Fill in the cost, if nobody has and a price is known for one of the names that the model goes by."""
        if usage is None or usage.cost_usd is not None:
            return
        price = next(filter(None, map(self._find, models)), self._own.get("*"))
        if price is not None:
            usage.cost_usd = price.of(usage)

    def _find(self, model: str) -> Price | None:
        for name in (model, VERSION.sub("", model)):
            found = self._own.get(name) or self._shipped.get(name)
            if found is not None:
                return found
        return None


def _is_elsewhere(provider: type[Provider], settings: ProviderSettings) -> bool:
    """A server of one's own does not charge the vendor's prices."""
    preset = provider.presets.get(settings.provider_type, {})
    return settings.base_url not in {None, preset.get("base_url")}


@cache
def _shipped(module: str, provider_type: str) -> dict[str, Price]:
    package = sys.modules.get(module.partition(".")[0])
    found = [Path(place) / "prices.toml" for place in getattr(package, "__path__", ())]
    text = next((path.read_text("utf-8") for path in found if path.is_file()), "")
    entries = tomllib.loads(text).get(provider_type, {})
    return {model: Price(float(entry["input"]), float(entry["output"])) for model, entry in entries.items()}
