"""The provider instances of one runtime: which provider a model belongs to, and one client per settings table."""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from llmspell_core.errors import ComponentError, NotFoundError, ValidationError
from llmspell_core.provider import ModelSpec, Provider, ProviderSettings

if TYPE_CHECKING:
    from llmspell_core.agent import AgentConfig
    from llmspell_core.config import Config
    from llmspell_core.plugins.registry import Registry
    from llmspell_core.policy import Policy
    from llmspell_core.provider import LocalProvider
    from llmspell_core.resilience.totals import Totals

__all__ = ["DEFAULT_MODEL", "Providers"]

log = logging.getLogger("llmspell")
DEFAULT_MODEL = ModelSpec("smollm2", "local")
NAME_ONE = "Name one, e.g. model('openai/gpt-4o-mini'), or set providers.<name>.default_model."
FALLBACK = "fallback"
"""The provider of a chain of models; the chain, written out, is its model."""


class Providers:
    """Makes each provider when it is first needed and keeps it until the runtime ends."""

    def __init__(self, config: Config, registry: Registry, policy: Policy | None = None) -> None:
        self._config = config
        self._registry = registry
        self._policy = policy
        self._made: dict[tuple[str, str | None, str | None], Provider] = {}
        self._preloaded: set[str] = set()
        self._totals: Totals | None = None
        self._said_default = False
        self.offer_model: Callable[[str, LocalProvider], Awaitable[bool]] | None = None
        """Asked when a local model is missing; returns whether it is there now. Set by the command line."""
        self._offered: set[str] = set()

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
            if named == "local" and spec.backend is None:
                named = self._home(whole)
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

        A `base_url` of the caller's own gets nothing of what is configured: a script could send it anywhere.
        """
        from llmspell_core.config import provider_settings

        settings = provider_settings(self._config, name)
        if settings.base_url and settings.from_caller:
            settings.from_caller = not self._knows(settings.provider_type, settings.base_url)
        own = settings.base_url or self._usual_url(settings.provider_type)
        if base_url and _normal(base_url) != _normal(own or ""):
            known = self._knows(settings.provider_type, base_url)
            settings = _of_caller(settings, base_url, from_caller=not known)
        return replace(settings, api_key=api_key) if api_key else settings

    def knows_server(self, name: str, base_url: str) -> bool:
        """Whether this very address is one that the operator wrote into a table, or where this provider goes unasked."""
        table = self._config.section("providers").get(name)
        kind = table.get("provider_type") if isinstance(table, dict) else None
        return self._knows(str(kind or name), base_url)

    def _knows(self, provider_type: str, base_url: str) -> bool:
        written = (
            str(table["base_url"])
            for name, table in self._config.section("providers").items()
            if isinstance(table, dict) and table.get("base_url")
            if self._config.origin(f"providers.{name}.base_url") != "script"
        )
        return _normal(base_url) in {_normal(url) for url in (*written, self._usual_url(provider_type) or "")}

    def _usual_url(self, provider_type: str) -> str | None:
        """Where a provider of this type goes unasked."""
        if not self._registry.has("providers", provider_type):
            return None
        cls: type[Provider] = self._registry.load("providers", provider_type)
        return cls.presets.get(provider_type, {}).get("base_url") or cls.default_url

    @property
    def totals(self) -> Totals:
        """What was asked of the providers so far: requests, tokens and money, by provider and model."""
        from llmspell_core.resilience.totals import Totals

        if self._totals is None:
            self._totals = Totals()
        return self._totals

    def usable(self) -> list[str]:
        """What is configured and can work here; without any of these the embedded local provider, where it can."""
        names = self.configured() or ["local"]
        return [name for name in names if self._can_work(name)]

    def _can_work(self, name: str) -> bool:
        settings = self.settings(name)
        known = self._registry.has("providers", settings.provider_type)
        return known and self.provider_class(settings).is_usable(settings)

    def check_key(self, name: str, base_url: str | None, api_key: str | None) -> None:
        """Raises: AuthenticationError when the provider needs a key and has none, which no later moment will change."""
        if name == FALLBACK:  # one of the others may answer
            return
        settings = self.settings(name, base_url=base_url, api_key=api_key)
        error = self.provider_class(settings).lacks_key(settings)
        if error is not None:
            raise error

    def _home(self, model: str) -> str:
        """Where `local/MODEL` is: in this machine's own store, or with the Ollama that is configured."""
        tables = self._config.section("providers")
        ollama = next((n for n in self.configured() if tables[n].get("provider_type", n) == "ollama"), None)
        if ollama is None or "local" in tables or not self._registry.has("providers", "ollama"):
            return "local"
        settings = self.settings("local")
        if self._can_work("local") and getattr(self.provider_class(settings), "holds", _never)(settings, model):
            return "local"
        return ollama

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
        if self._policy is not None:
            from llmspell_core.policy.vendor import VendorNetwork

            provider.network = VendorNetwork(self._policy)
        return provider

    async def for_agent(self, config: AgentConfig) -> tuple[Provider, str]:
        """The provider and the model of an agent, connected."""
        provider = await self.get(str(config.provider), base_url=config.base_url, api_key=config.api_key)
        return await self._with_model(provider, str(config.model)), str(config.model)

    async def _with_model(self, provider: Provider, model: str) -> Provider:
        """Offer to fetch a local model that is missing; without somebody to ask, the provider's own error says how."""
        local = provider.as_local()
        if local is not None and self.offer_model is not None and model not in self._offered:
            self._offered.add(model)
            present = {m.id for m in await local.list_local_models()}
            if model not in present:
                await self.offer_model(model, local)
        return provider

    async def close(self) -> None:
        made = list(self._made.values())
        self._made.clear()
        results = await asyncio.gather(*(p.close() for p in made), return_exceptions=True)
        for provider, result in zip(made, results, strict=True):
            if isinstance(result, BaseException):
                log.warning("closing provider %s failed: %s", provider.settings.name, result)


def _never(*_: object) -> bool:
    return False


def _of_caller(settings: ProviderSettings, base_url: str, *, from_caller: bool) -> ProviderSettings:
    """Without what belongs to the operator's own server."""
    return replace(
        settings,
        base_url=base_url,
        api_key=None,
        api_key_env=None,
        headers={},
        proxy=None if from_caller else settings.proxy,
        from_caller=from_caller,
    )


def _normal(url: str) -> str:
    """One spelling of an address. What has a user, a query or is no address at all stays as it is."""
    try:
        parts = urlsplit(url.strip())
        port = parts.port or {"http": 80, "https": 443}.get(parts.scheme.lower())
    except ValueError:
        return url
    if not parts.hostname or "@" in parts.netloc or "?" in url or "#" in url:
        return url
    host = "localhost" if parts.hostname in {"127.0.0.1", "::1"} else parts.hostname
    return f"{parts.scheme.lower()}://{host}:{port}{parts.path.rstrip('/')}"


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
