"""The provider instances of one runtime: which provider a model belongs to, and one client per settings table."""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from llmspell_core.errors import ComponentError, NotFoundError, ValidationError
from llmspell_core.provider import ModelSpec, Provider, ProviderSettings

if TYPE_CHECKING:
    from llmspell_core.config import Config
    from llmspell_core.plugins.registry import Registry
    from llmspell_core.resilience.totals import Totals

__all__ = ["DEFAULT_MODEL", "Providers"]

log = logging.getLogger("llmspell")
DEFAULT_MODEL = ModelSpec("smollm2", "local")
NAME_ONE = "Name one, e.g. model('openai/gpt-4o-mini'), or set providers.<name>.default_model."
FALLBACK = "fallback"
"""The provider of a chain of models; the chain, written out, is its model."""


class Providers:
    """Makes each provider when it is first needed and keeps it until the runtime ends."""

    def __init__(self, config: Config, registry: Registry) -> None:
        self._config = config
        self._registry = registry
        self._made: dict[tuple[str, str | None, str | None], Provider] = {}
        self._preloaded: set[str] = set()
        self._totals: Totals | None = None
        self._said_default = False

    def configured(self) -> list[str]:
        """Names of the `[providers.*]` tables, and of vendors whose key is set."""
        return list(self._config.provider_names())

    def names(self) -> list[str]:
        """Everything a model may name before its slash."""
        return sorted({*self.configured(), *self._registry.names("providers")})

    def resolve(self, model: str | Sequence[str] | None, provider: str | None = None) -> ModelSpec:
        """Provider and model for what an agent asked for.

        Several models, as a list or separated by commas, are a chain: the first that can answer does. Without a model:
        the default provider's `default_model`, or the embedded `local/smollm2` when no provider is configured and no key
        is set.

        Raises:
            ValidationError: "Model is required"; an empty text. NotFoundError: unknown provider.
        """
        chain = _chain(model)
        if model is not None and not chain:
            raise ValidationError("model is empty", field="model", hint=NAME_ONE)
        if len(chain) > 1:
            own = None if provider == FALLBACK else provider
            return ModelSpec(", ".join(str(self._resolve_one(each, own)) for each in chain), FALLBACK)
        return self._resolve_one(chain[0] if chain else None, provider)

    def _resolve_one(self, model: str | None, provider: str | None) -> ModelSpec:
        spec = self._complete(self._parse(model) if model else None, provider)
        if spec.provider != FALLBACK and not self._is_known(spec.provider):
            raise self._unknown(str(spec.provider))
        return spec

    def _is_known(self, provider: str | None) -> bool:
        return provider in self.configured() or self._registry.has("providers", str(provider))

    def _parse(self, text: str) -> ModelSpec:
        """Models may have slashes in their names, and tables too: the longest known provider in front is meant."""
        spec = ModelSpec.parse(text)
        parts = str(spec.provider or "").split("/")
        for length in range(len(parts), 0, -1):
            if self._is_known(name := "/".join(parts[:length])):
                return ModelSpec("/".join([*parts[length:], spec.model]), name, spec.backend)
        return spec

    def _complete(self, spec: ModelSpec | None, provider: str | None) -> ModelSpec:
        default = self._config.get("providers.default_provider")
        if spec is not None and (provider or spec.provider):
            whole = (
                f"{spec.provider}/{spec.model}" if provider and spec.provider not in {None, provider} else spec.model
            )
            named = provider or spec.provider
            elsewhere = named == "local" and spec.backend is not None and self._registry.has("providers", spec.backend)
            return ModelSpec(whole, spec.backend if elsewhere else named, spec.backend)
        if spec is not None:
            return ModelSpec(spec.model, default or "openai", spec.backend)
        return self._default(provider or default)

    def _default(self, provider: str | None) -> ModelSpec:
        if provider:
            model = self.settings(provider).default_model
            if model:
                return self._default_of(model, provider)
        elif not self.configured():
            self._say_default()
            return DEFAULT_MODEL
        raise ValidationError(
            "Model is required",
            field="model",
            hint=NAME_ONE,
        )

    def _default_of(self, model: str, provider: str) -> ModelSpec:
        """In a chain, a model that names a provider of ours belongs to it; a single one is always this provider's own."""
        chain = _chain(model)
        if len(chain) == 1:
            return self._complete(ModelSpec.parse(chain[0]), provider)
        named = [each if self._is_known(self._parse(each).provider) else f"{provider}/{each}" for each in chain]
        return self.resolve(named)

    def _say_default(self) -> None:
        if not self._said_default:
            self._said_default = True
            log.warning(
                "No provider is configured and no API key is set: using the embedded model %s. "
                "Set OPENAI_API_KEY or add a [providers.<name>] table to use another one.",
                DEFAULT_MODEL,
            )

    def _unknown(self, name: str) -> NotFoundError:
        error = self._registry.not_found("providers", name)
        known = ", ".join(self.names()) or "none is installed"
        error.hint = f"{error.hint or ''} Known providers: {known}.".strip()
        return error

    def settings(self, name: str, *, base_url: str | None = None, api_key: str | None = None) -> ProviderSettings:
        """The table `providers.<name>` with environment and defaults; an unconfigured name is its own type.

        A `base_url` of the caller's own never gets the configured key: a script could send it anywhere.
        """
        from llmspell_core.config import provider_settings

        settings = provider_settings(self._config, name)
        if base_url and base_url != settings.base_url:
            settings.base_url, settings.api_key = base_url, None
        settings.api_key = api_key or settings.api_key
        return settings

    @property
    def totals(self) -> Totals:
        """What was asked of the providers so far: requests, tokens and money, by provider and model."""
        from llmspell_core.resilience.totals import Totals

        if self._totals is None:
            self._totals = Totals()
        return self._totals

    def provider_class(self, settings: ProviderSettings) -> type[Provider]:
        if not self._registry.has("providers", settings.provider_type):
            raise self._unknown(settings.provider_type)
        loaded: type[Provider] = self._registry.load("providers", settings.provider_type)
        return loaded

    def preload(self, name: str, model: str = "") -> None:
        """Begin to import the vendor's package in a thread; errors show when the provider is used.

        Args:
            model: of a chain, whose first provider is preloaded; the others may never be needed.
        """
        if name == FALLBACK:
            first = _chain(model)[:1]
            name = str(ModelSpec.parse(first[0]).provider) if first else name
        if name in self._preloaded or name == FALLBACK:
            return
        self._preloaded.add(name)
        cls = self.provider_class(self.settings(name))
        threading.Thread(target=_quietly, args=(cls.preload,), name=f"preload-{name}", daemon=True).start()
        for partner in getattr(cls, "partners", ()):
            if self._registry.has("providers", partner):
                self.preload(partner)

    async def get(self, name: str, *, base_url: str | None = None, api_key: str | None = None) -> Provider:
        """The provider instance for these settings, with the retries and limits that they ask for."""
        key = (name, base_url, api_key)
        if key not in self._made:
            self._made[key] = self._chained(base_url, api_key) if name == FALLBACK else self._guarded(*key)
        return self._made[key]

    def _guarded(self, name: str, base_url: str | None, api_key: str | None) -> Provider:
        from llmspell_core.resilience import guarded

        return guarded(self.settings(name, base_url=base_url, api_key=api_key), self.make, self.totals)

    def _chained(self, base_url: str | None, api_key: str | None) -> Provider:
        from llmspell_core.resilience import FallbackProvider

        if base_url or api_key:
            raise ValidationError(
                "a chain of models has no base_url or api_key of its own",
                field="base_url" if base_url else "api_key",
                hint="Give each of its providers a [providers.<name>] table, and name the tables in the chain.",
            )
        return FallbackProvider(self.get)

    def make(self, settings: ProviderSettings) -> Provider:
        """A new instance; a plugin that builds on another provider's client calls this through `make_provider`."""
        provider = self.provider_class(settings)(settings)
        if not isinstance(provider, Provider):
            raise ComponentError(f"'{settings.provider_type}' is not a provider but {type(provider).__name__}")
        provider.make_provider = self.make
        return provider

    async def close(self) -> None:
        made = list(self._made.values())
        self._made.clear()
        results = await asyncio.gather(*(p.close() for p in made), return_exceptions=True)
        for provider, result in zip(made, results, strict=True):
            if isinstance(result, BaseException):
                log.warning("closing provider %s failed: %s", provider.settings.name, result)


def _chain(model: str | Sequence[str] | None) -> list[str]:
    """The models that are named: none, one or several."""
    named = [model] if isinstance(model, str) else list(model or ())
    parts = [part.strip().removeprefix(f"{FALLBACK}/") for text in named for part in str(text).split(",")]
    return [part for part in parts if part]


def _quietly(work: Any) -> None:
    try:
        work()
    except Exception as error:  # noqa: BLE001 - the same import fails again, with its error, when it is needed
        log.debug("preloading failed: %s", error)
