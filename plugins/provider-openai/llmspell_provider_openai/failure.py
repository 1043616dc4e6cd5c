"""What can go wrong on the way to the server, in the words of our error tree."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from llmspell_core.errors import (
    AuthenticationError,
    ConfigurationError,
    ContentRefusedError,
    ContextTooLongError,
    LLMSpellError,
    ModelNotFoundError,
    NetworkError,
    OverloadedError,
    ProviderError,
    QuotaExceededError,
    RateLimitError,
    TimeoutError,
    ValidationError,
)
from llmspell_core.provider import ProviderSettings

__all__ = ["Failures"]

TOO_LONG = re.compile(
    r"context.{0,20}(length|size|window)|maximum context|exceed.{0,40}context|too many tokens|prompt is too long",
    re.IGNORECASE,
)
REFUSED = re.compile(r"content[_ ](filter|policy)|content management policy|safety", re.IGNORECASE)
NO_CREDIT = re.compile(
    r"insufficient_quota|exceeded your current quota|billing|credit balance|out of credits", re.IGNORECASE
)
NO_MODEL = re.compile(r"model", re.IGNORECASE)


class Failures:
    """Maps the exceptions of one provider.

    Args:
        settings: names the provider and holds the key that no message may show.
        key_variable: the vendor's variable, for hints.
        base_url: where requests go, for hints.
    """

    def __init__(self, settings: ProviderSettings, key_variable: str | None, base_url: str) -> None:
        self.name = settings.name
        self.settings = settings
        self.key_variable = key_variable
        self.base_url = base_url

    @contextmanager
    def mapped(self, model: str, timeout: float) -> Iterator[None]:
        """Raises: one of our errors in place of the package's. Ours and cancellation pass untouched."""
        try:
            yield
        except LLMSpellError:
            raise
        except Exception as error:
            mapped = self._map(error, model, timeout)
            if mapped is None:
                raise
            raise mapped from None

    def no_key(self) -> AuthenticationError:
        variables = self.variables()
        return AuthenticationError(
            f"provider '{self.name}' has no API key",
            provider=self.name,
            hint=f"Set the environment variable {variables[-1]}, or api_key_env or api_key in [providers.{self.name}] "
            f"of your configuration. Looked in: environment ({', '.join(variables)}) and providers.{self.name}.",
        )

    def variables(self) -> list[str]:
        """The environment variables that may hold the key; the customary one last."""
        prefixed = f"LLMSPELL_{self.name.upper().replace('-', '_')}_API_KEY"
        named = self.settings.api_key_env or self.key_variable
        return [prefixed, named] if named and named != prefixed else [prefixed]

    def _map(self, error: Exception, model: str, timeout: float) -> LLMSpellError | None:
        import httpx2
        import openai

        if isinstance(error, openai.APITimeoutError | httpx2.TimeoutException):
            return self._timed_out(timeout)
        if isinstance(error, openai.APIStatusError):
            return self._status(error, model)
        if isinstance(error, openai.APIConnectionError | httpx2.HTTPError | httpx2.StreamError | httpx2.InvalidURL):
            return self._unreachable(error)
        if isinstance(error, openai.APIError):  # also: an error event within a stream
            return self._by_words(str(error.code or ""), error.message, model) or self._plain(error.message, model)
        if isinstance(error, openai.OpenAIError):
            return self._plain(str(error), model)
        if isinstance(error, json.JSONDecodeError | UnicodeDecodeError):
            return self._garbage(model)
        return None

    def _timed_out(self, timeout: float) -> LLMSpellError:
        return TimeoutError(
            f"{self.name} did not answer within {timeout:g} seconds",
            duration_ms=round(timeout * 1000),
            hint=f"Raise timeout_seconds in [providers.{self.name}], or ask for a shorter answer with max_tokens.",
        )

    def _unreachable(self, error: Exception) -> LLMSpellError:
        import httpx2

        cause = error.__cause__ or error
        if isinstance(cause, httpx2.RemoteProtocolError | httpx2.ReadError):
            return NetworkError(
                f"{self.name} at {self.base_url} broke the connection off before the answer was complete",
                hint="Try again; if it happens often, look at the server's log or at a proxy in between.",
            )
        return NetworkError(
            f"{self.name} cannot be reached at {self.base_url}: {self._clean(str(cause))}",
            hint=f"Check that the server runs and that base_url in [providers.{self.name}] is right.",
        )

    def _garbage(self, model: str) -> LLMSpellError:
        return ProviderError(
            f"{self.name} answered with something that is not JSON",
            provider=self.name,
            model=model,
            hint=f"Check base_url in [providers.{self.name}] ({self.base_url}): it usually ends in /v1.",
        )

    def _plain(self, message: str, model: str, status: int | None = None) -> ProviderError:
        where = f"{self.name} failed" + (f" with status {status}" if status else "")
        return ProviderError(f"{where}: {self._clean(message)}", provider=self.name, model=model, status=status)

    def _status(self, error: Any, model: str) -> LLMSpellError:
        status, message = int(error.status_code), _message(error)
        details = {"provider": self.name, "model": model, "status": status}
        if status in {401, 403}:
            return self._refused_key(status, message, details)
        if status == 429:
            return self._too_many(error, message, details)
        if status >= 500:
            return self._outage(error, status, message, details)
        if status == 408:
            return self._timed_out(self.settings.timeout_seconds)
        if status == 402:
            return self._no_credit(message, details)
        if status == 413:
            return self._too_long(message, details)
        return self._bad_request(error, status, message, details)

    def _refused_key(self, status: int, message: str, details: dict[str, Any]) -> LLMSpellError:
        what = "refused the API key" if status == 401 else "does not allow this"
        return AuthenticationError(
            f"{self.name} {what}: {self._clean(message)}",
            hint=f"Check the value of {self.variables()[-1]} or of providers.{self.name}.api_key, "
            "and that the account may use this model.",
            **details,
        )

    def _too_many(self, error: Any, message: str, details: dict[str, Any]) -> LLMSpellError:
        if NO_CREDIT.search(f"{error.code} {message}"):
            return self._no_credit(message, details)
        wait = _retry_after(error.response.headers)
        hint = f"Try again in {wait:g} seconds" if wait else "Try again later"
        return RateLimitError(
            f"{self.name} received too many requests: {self._clean(message)}",
            retry_after=wait,
            provider=self.name,
            hint=f"{hint}, or lower the rate with rate_limit in [providers.{self.name}].",
        )

    def _no_credit(self, message: str, details: dict[str, Any]) -> LLMSpellError:
        hint = "Add credit to the account, or use another provider, e.g. the local model 'local/smollm2'."
        return QuotaExceededError(f"{self.name}: no credit left: {self._clean(message)}", hint=hint, **details)

    def _outage(self, error: Any, status: int, message: str, details: dict[str, Any]) -> LLMSpellError:
        wait = _retry_after(error.response.headers)
        if status in {503, 529} or wait:
            return OverloadedError(
                f"{self.name} is overloaded ({status}): {self._clean(message)}",
                retry_after=wait,
                hint="Try again later, or use another provider in the meantime.",
                **details,
            )
        return self._by_words(str(error.code or ""), message, str(details["model"])) or ProviderError(
            f"{self.name} failed with status {status}: {self._clean(message)}",
            hint="The fault is on the server's side; try again.",
            **details,
        )

    def _too_long(self, message: str, details: dict[str, Any]) -> LLMSpellError:
        return ContextTooLongError(
            f"the conversation does not fit the model: {self._clean(message)}",
            hint="Shorten the prompt or the history, lower max_tokens, or use a model with a larger context.",
            **details,
        )

    def _bad_request(self, error: Any, status: int, message: str, details: dict[str, Any]) -> LLMSpellError:
        found = self._by_words(f"{error.code} {error.type}", message, str(details["model"]), status)
        if found is not None:
            return found
        if status == 404:
            return ConfigurationError(
                f"{self.name} has no chat completions at {self.base_url}: {self._clean(message)}",
                setting=f"providers.{self.name}.base_url",
                hint="A base_url usually ends in /v1.",
            )
        return ValidationError(
            f"{self.name} did not accept the request ({status}): {self._clean(message)}",
            field=error.param,
            hint="Check the model's settings and the options passed with the request.",
        )

    def _by_words(self, code: str, message: str, model: str, status: int | None = None) -> LLMSpellError | None:
        """The errors that servers tell apart only by words."""
        details = {"provider": self.name, "model": model, "status": status}
        text = f"{code} {message}"
        if TOO_LONG.search(text):
            return self._too_long(message, details)
        if REFUSED.search(text):
            hint = "Rephrase the request."
            return ContentRefusedError(f"{self.name} declined to answer: {self._clean(message)}", hint=hint, **details)
        if "model_not_found" in code or (status == 404 and NO_MODEL.search(message)):
            return ModelNotFoundError(
                f"{self.name} has no model '{model}': {self._clean(message)}",
                hint=f"List its models: llmspell provider test {self.name}",
                **details,
            )
        return None

    def _clean(self, text: str) -> str:
        """Without the key, and no longer than a person reads."""
        for secret in (self.settings.api_key, *self.settings.headers.values()):
            if secret and len(secret) > 3:
                text = text.replace(secret, "***")
        text = " ".join(text.split())
        return text if len(text) <= 400 else text[:399] + "…"


def _message(error: Any) -> str:
    """The server's own words; servers disagree on where to put them."""
    body = error.body
    if isinstance(body, dict):
        inner = body.get("error", body)
        words = inner.get("message") or inner.get("detail") if isinstance(inner, dict) else inner
        if words:
            return str(words)
    text = body if isinstance(body, str) and body else error.message
    return re.sub(r"<[^>]*>", " ", str(text))


def _retry_after(headers: Any) -> float | None:
    """Seconds, from either header; a date is turned into seconds from now."""
    from email.utils import parsedate_to_datetime
    from time import time

    for name, divisor in (("retry-after-ms", 1000.0), ("retry-after", 1.0)):
        try:
            return float(headers[name]) / divisor
        except (KeyError, ValueError):
            continue
    try:
        return max(0.0, parsedate_to_datetime(headers["retry-after"]).timestamp() - time())
    except (KeyError, ValueError, TypeError):
        return None
