"""What can go wrong on the way to a model's server, in the words of our error tree.

Servers agree on little more than the status code; the rest they say in words. A provider plugin translates its package's
exceptions by inheriting `ServerFailures` and calling its methods, so that one failure reads the same with every provider.
"""

from __future__ import annotations

import math
import os
import re
from collections.abc import Iterator, Mapping
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
    SecurityError,
    TimeoutError,
    ValidationError,
)
from llmspell_core.provider import ProviderSettings

__all__ = ["ServerFailures", "retry_after"]

TOO_LONG = re.compile(
    r"context.{0,20}(length|size|window)|maximum context|exceed.{0,40}(context|number of tokens)|too many tokens"
    r"|prompt is too long|request_too_large",
    re.IGNORECASE,
)
REFUSED = re.compile(r"content[_ ](filter|policy)|content management policy|\bsafety\b|prohibited", re.IGNORECASE)
NO_CREDIT = re.compile(
    r"insufficient_quota|exceeded your current quota|billing|credit balance|out of credits", re.IGNORECASE
)
SPENT = re.compile(r"insufficient_quota|billing_|credit balance|out of credits", re.IGNORECASE)
"""What no waiting helps against, unlike a quota for a minute, which servers tell of in the same words."""
SOON = re.compile(r"per[ _-]?(minute|second|hour|day)|rate[ _-]?limit", re.IGNORECASE)
TOLD_WAIT = re.compile(
    r"(?:retry|try again)\s+(?:in|after)\s+((?:\d+(?:\.\d+)?\s*(?:ms|[smh])[a-z]*\s*)+)", re.IGNORECASE
)
SPAN = re.compile(r"(\d+(?:\.\d+)?)\s*(ms|[smh])", re.IGNORECASE)
SECONDS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0}
NAME = r"""[`'"]*([A-Za-z_][\w.\[\]-]*)"""
PARAMETER = re.compile(
    r"(?:(?:unknown|unrecognized|unsupported|unexpected|invalid)\s+(?:\w+\s+)?"
    r"(?:parameters?|arguments?|fields?|names?|propert(?:y|ies)|keys?)(?:\s+supplied)?|invalid value at)"
    rf"(?:\s*:\s*|\s+(?=[`'\"])|\s+(?=\w*[_\[.])){NAME}|{NAME}: (?:extra inputs|input should|field required|unknown field)"
    rf"|[`'\"]{NAME}[`'\"] (?:is not supported|was unexpected|is not allowed)",
    re.IGNORECASE,
)
"""A complaint about a field of the request, whose name may hold any word that means something else elsewhere."""
HIDDEN = re.compile(r"<(script|style|noscript|template)\b.*?(</\1\s*>|$)|<!--.*?(-->|$)", re.IGNORECASE | re.DOTALL)
OF_PARSING = (ValueError, AttributeError, TypeError, LookupError, RecursionError)
"""What packages, and readers of what they return, trip over when an answer is not what it should be."""
NO_MODEL = re.compile(r"model", re.IGNORECASE)
SHOWN = 400
PROXIES = ("HTTPS_PROXY", "HTTP_PROXY", "ALL_PROXY")


class ServerFailures:
    """Makes the errors of one provider.

    Args:
        settings: names the provider and holds the key that no message may show.
        key_variable: the vendor's variable, for hints; None where there is no key.
        base_url: where requests go, for hints.
        address_hint: how a right address looks.
    """

    def __init__(
        self, settings: ProviderSettings, key_variable: str | None, base_url: str, *, address_hint: str = ""
    ) -> None:
        self.name = settings.name
        self.settings = settings
        self.key_variable = key_variable
        self.base_url = _shown(base_url)
        self.address_hint = address_hint

    def translate(self, error: Exception, model: str, timeout: float) -> LLMSpellError | None:
        """One of our errors for one of the package's; None for what is not the package's doing."""
        raise NotImplementedError

    @contextmanager
    def mapped(self, model: str, timeout: float) -> Iterator[None]:
        """Raises: one of our errors in place of the package's. Ours and cancellation pass untouched."""
        try:
            yield
        except LLMSpellError:
            raise
        except Exception as error:
            made = _own_cause(error) or self.translate(error, model, timeout)
            if made is not None:
                raise made from None
            if not isinstance(error, OF_PARSING):
                raise
            raise self.garbage(model) from error  # the cause tells a defect of ours from one of the server's

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

    def timed_out(self, timeout: float) -> TimeoutError:
        return TimeoutError(
            f"{self.name} did not answer within {timeout:g} seconds",
            duration_ms=round(timeout * 1000),
            hint=f"Raise timeout_seconds in [providers.{self.name}], or ask for a shorter answer with max_tokens.",
        )

    def unreachable(self, why: str) -> NetworkError:
        return NetworkError(
            f"{self.name} cannot be reached at {self.base_url}: {self.clean(why)}",
            hint=f"Check that the server runs and that base_url in [providers.{self.name}] is right.{self.unused_proxy()}",
        )

    def unused_proxy(self) -> str:
        """What somebody behind a proxy has to know."""
        named = [name for name in PROXIES if os.environ.get(name) or os.environ.get(name.lower())]
        if not named or self.settings.proxy or self.settings.from_caller:
            return ""
        return (
            f' {named[0]} is set, but not used: set proxy = "environment" in [providers.{self.name}] if it should be.'
        )

    def broken_off(self) -> NetworkError:
        return NetworkError(
            f"{self.name} at {self.base_url} broke the connection off before the answer was complete",
            hint="Try again; if it happens often, look at the server's log or at a proxy in between.",
        )

    def of_connection(self, error: Exception, broken: tuple[type[Exception], ...]) -> LLMSpellError:
        """For a package that wraps its HTTP client's error; `broken` are the client's for an answer that breaks off."""
        cause = error.__cause__ or error
        if type(cause).__name__ == "DecodingError":  # of the content's encoding, by the HTTP client
            return self.garbage("", "a body that is not compressed as its header says")
        return self.broken_off() if isinstance(cause, broken) else self.unreachable(str(cause))

    def garbage(self, model: str, what: str = "something that is not an answer of its protocol") -> ProviderError:
        return ProviderError(
            f"{self.name} answered with {what}",
            provider=self.name,
            model=model,
            hint=f"Check base_url in [providers.{self.name}] ({self.base_url}). {self.address_hint}".strip(),
        )

    def plain(self, message: str, model: str, status: int | None = None) -> ProviderError:
        where = f"{self.name} failed" + (f" with status {status}" if status else "")
        return ProviderError(
            f"{where}: {self.clean(message)}",
            provider=self.name,
            model=model,
            status=status,
            hint="The fault is on the server's side; try again.",
        )

    def ended(self, word: str, model: str, why: str = "") -> ProviderError:
        """For an answer that ended in a way that is a failure, such as a call that the model wrote wrongly."""
        return self.plain(f"the answer ended with {word}{': ' if why else ''}{why}", model)

    def in_answer(self, error: Any, model: str) -> LLMSpellError:
        """For an answer of status 200 whose body is an error, as gateways send it: a text, or a table."""
        table = error if isinstance(error, Mapping) else {"message": error}
        inner = table.get("error")
        table = inner if isinstance(inner, Mapping) else {"message": inner} if inner else table
        code, message = str(table.get("code") or ""), str(table.get("message") or table.get("detail") or table)
        words = " ".join(str(table[name]) for name in ("type", "status") if table.get(name))
        if code.isdigit() and 400 <= int(code) < 600:
            return self.of_status(int(code), message, model, code=words)
        words = f"{code} {words}".strip()
        if "rate_limit" in words:
            return self.of_status(429, message, model, code=words)
        if "overloaded" in words:
            return self.overloaded(message, model, None)
        return self.by_words(words, message, model) or self.plain(message, model)

    def refused(self, message: str, model: str, status: int | None = None) -> ContentRefusedError:
        return ContentRefusedError(
            f"{self.name} declined to answer: {self.clean(message)}",
            provider=self.name,
            model=model,
            status=status,
            hint="Rephrase the request.",
        )

    def of_status(
        self,
        status: int,
        message: str,
        model: str,
        *,
        code: str = "",
        headers: Mapping[str, str] | None = None,
        field: str | None = None,
    ) -> LLMSpellError:
        """The error that a status means.

        Args:
            code: the vendor's own word for it, if there is one.
            field: the field of the request that the vendor names.
        """
        details = {"provider": self.name, "model": model, "status": status}
        wait = retry_after(headers or {})
        if wait is None:
            wait = told_wait(message)
        if 300 <= status < 400:
            return self.sent_on(_header(headers or {}, "location"))
        if status in {401, 403}:
            return self._refused_key(status, message, details)
        if status == 429:
            return self._too_many(message, code, wait, details)
        if status >= 500:
            return self._outage(message, code, wait, details)
        if status == 408:
            return self.timed_out(self.settings.timeout_seconds)
        if status == 402:
            return self._no_credit(message, details)
        if status == 413:
            return self._too_long(message, details)
        return self._bad_request(message, code, field, details)

    def by_words(self, code: str, message: str, model: str, status: int | None = None) -> LLMSpellError | None:
        """The errors that servers tell apart only by words."""
        details = {"provider": self.name, "model": model, "status": status}
        if PARAMETER.search(message):
            return None
        text = f"{code} {message}"
        if TOO_LONG.search(text):
            return self._too_long(message, details)
        if NO_CREDIT.search(text):
            return self._too_many(message, code, told_wait(message), details)
        if REFUSED.search(text):
            return self.refused(message, model, status)
        if "model_not_found" in code or (status == 404 and NO_MODEL.search(text)):
            return self.no_model(message, model, status)
        return None

    def no_model(self, message: str, model: str, status: int | None = None) -> ModelNotFoundError:
        return ModelNotFoundError(
            f"{self.name} has no model '{model}': {self.clean(message)}",
            hint=f"List its models: llmspell provider test {self.name}",
            provider=self.name,
            model=model,
            status=status,
        )

    def overloaded(self, message: str, model: str, status: int | None, wait: float | None = None) -> OverloadedError:
        return OverloadedError(
            f"{self.name} is overloaded{f' ({status})' if status else ''}: {self.clean(message)}",
            retry_after=wait,
            hint="Try again later, or use another provider in the meantime.",
            provider=self.name,
            model=model,
            status=status,
        )

    def sent_on(self, location: str) -> SecurityError:
        """For a redirect that nobody followed."""
        where = _shown(location) if location else "another address"
        return SecurityError(
            f"provider '{self.name}': a request for {self.base_url} was sent on to {where}, which nobody configured",
            violation_type="host_denied",
            hint=f"If the server has moved there, set base_url in [providers.{self.name}] to that address.",
        )

    def _refused_key(self, status: int, message: str, details: dict[str, Any]) -> LLMSpellError:
        what = "refused the API key" if status == 401 else "does not allow this"
        return AuthenticationError(
            f"{self.name} {what}: {self.clean(message)}",
            hint=f"Check the value of {self.variables()[-1]} or of providers.{self.name}.api_key, "
            "and that the account may use this model.",
            **details,
        )

    def _too_many(self, message: str, code: str, wait: float | None, details: dict[str, Any]) -> LLMSpellError:
        words = f"{code} {message}"
        if NO_CREDIT.search(words) and (SPENT.search(words) or (wait is None and not SOON.search(words))):
            return self._no_credit(message, details)
        hint = f"Try again in {wait:g} seconds" if wait else "Try again later"
        return RateLimitError(
            f"{self.name} received too many requests: {self.clean(message)}",
            retry_after=wait,
            provider=self.name,
            hint=f"{hint}, or lower the rate with rate_limit in [providers.{self.name}].",
        )

    def _no_credit(self, message: str, details: dict[str, Any]) -> LLMSpellError:
        hint = "Add credit to the account, or use another provider, e.g. the local model 'local/smollm2'."
        return QuotaExceededError(f"{self.name}: no credit left: {self.clean(message)}", hint=hint, **details)

    def _outage(self, message: str, code: str, wait: float | None, details: dict[str, Any]) -> LLMSpellError:
        status, model = int(details["status"]), str(details["model"])
        if status in {503, 529} or wait:
            return self.overloaded(message, model, status, wait)
        return self.by_words(code, message, model, status) or self.plain(message, model, status)

    def _too_long(self, message: str, details: dict[str, Any]) -> LLMSpellError:
        return ContextTooLongError(
            f"the conversation does not fit the model: {self.clean(message)}",
            hint="Shorten the prompt or the history, lower max_tokens, or use a model with a larger context.",
            **details,
        )

    def _bad_request(self, message: str, code: str, field: str | None, details: dict[str, Any]) -> LLMSpellError:
        status = int(details["status"])
        found = self.by_words(code, message, str(details["model"]), status)
        if found is not None:
            return found
        if status == 404:
            return ConfigurationError(
                f"{self.name} finds nothing at {self.base_url}: {self.clean(message)}",
                setting=f"providers.{self.name}.base_url",
                hint=f"Check base_url. {self.address_hint}".strip(),
            )
        return ValidationError(
            f"{self.name} did not accept the request ({status}): {self.clean(message)}",
            field=field or _named_field(message) or "request",
            hint="Check the model's settings and the options passed with the request.",
        )

    def clean(self, text: str) -> str:
        """Without the key, and no longer than a person reads."""
        for secret in (self.settings.api_key, *self.settings.headers.values()):
            if secret and len(secret) > 3:
                text = text.replace(secret, "***")
        text = " ".join(re.sub(r"<[^<>]*>", " ", HIDDEN.sub(" ", text)).split())
        return text if len(text) <= SHOWN else text[: SHOWN - 1] + "…"


def _named_field(message: str) -> str | None:
    found = PARAMETER.search(message)
    return next(filter(None, found.groups()), None) if found else None


def told_wait(message: str) -> float | None:
    """Seconds, of a message that says "retry in 1m20s"."""
    found = TOLD_WAIT.search(message)
    return sum(float(n) * SECONDS[unit.lower()] for n, unit in SPAN.findall(found[1])) if found else None


def _header(headers: Mapping[str, str], name: str) -> str:
    return next((str(value) for key, value in headers.items() if key.lower() == name), "")


def _own_cause(error: BaseException | None) -> LLMSpellError | None:
    """What the wire refused; packages wrap whatever their HTTP client raises."""
    for _ in range(8):
        if error is None or isinstance(error, LLMSpellError):
            return error
        error = error.__cause__ or (None if error.__suppress_context__ else error.__context__)
    return None


def _shown(url: str) -> str:
    """The address without user, password and query, which may hold keys."""
    head, slashes, rest = url.partition("://")
    host, slash, path = rest.partition("?")[0].partition("#")[0].partition("/")
    return f"{head}://{host.rpartition('@')[2]}{slash}{path}" if slashes else url


def retry_after(headers: Mapping[str, str]) -> float | None:
    """Seconds, from either header; a date is turned into seconds from now. None for what is no time to wait."""
    from email.utils import parsedate_to_datetime
    from time import time

    for name, divisor in (("retry-after-ms", 1000.0), ("retry-after", 1.0)):
        try:
            wait = float(headers[name]) / divisor
        except (KeyError, ValueError):
            continue
        if math.isfinite(wait) and wait >= 0:
            return wait
    try:
        return max(0.0, parsedate_to_datetime(headers["retry-after"]).timestamp() - time())
    except (KeyError, ValueError, TypeError, OverflowError):
        return None
