"""What the child process reports, in the words of our error tree."""

from __future__ import annotations

from typing import Any

from llmspell_core.errors import AuthenticationError, LLMSpellError, ModelNotFoundError, SecurityError, ValidationError
from llmspell_core.provider.failures import ServerFailures

__all__ = ["Failures"]

TIMEOUTS = frozenset({"APITimeoutError", "TimeoutException", "TimeoutError", "Timeout", "DeadlineExceeded"})
BROKEN = frozenset({"RemoteProtocolError", "ReadError", "IncompleteRead", "ChunkedEncodingError"})
UNREACHABLE = frozenset({"APIConnectionError", "TransportError", "ConnectionError", "InvalidURL", "URLError"})
GARBAGE = frozenset({"JSONDecodeError", "UnicodeDecodeError", "KeyError", "TypeError", "AttributeError", "IndexError"})
KEYS = frozenset({"NeedsKeyException"})


class Failures(ServerFailures):
    """Plugins of `llm` raise what their vendors' packages raise; the names of the classes tell what it was."""

    def of_report(self, report: dict[str, Any], model: str, timeout: float) -> LLMSpellError:
        types, message = set(report["types"]), str(report["message"])
        if report["refusal"] is not None:
            return SecurityError(**report["refusal"])
        if types & KEYS:
            return self.no_key_of(message)
        if report["status"] is not None and report["status"] >= 300:
            headers = report["headers"]
            return self.of_status(report["status"], message, model, code=report["code"], headers=headers)
        if types & TIMEOUTS:
            return self.timed_out(timeout)
        if types & BROKEN:
            return self.broken_off()
        if types & UNREACHABLE:
            return self.unreachable(message)
        return self.by_words(report["code"], message, model) or self._of_kind(types, message, model)

    def _of_kind(self, types: set[str], message: str, model: str) -> LLMSpellError:
        if types & GARBAGE:
            return self.garbage(model)
        if "LookupError" in types:
            return self.unknown_model(message, model)
        if "ValidationError" in types or "does not support" in message:
            return self.unsupported(message)
        return self.plain(message, model)

    def unknown_model(self, message: str, model: str) -> ModelNotFoundError:
        error = self.no_model(message, model)
        error.hint = f"Install the plugin that has it (pip install llm-...), or list what is there: llmspell provider test {self.name}"
        return error

    def no_key_of(self, message: str) -> AuthenticationError:
        error = self.no_key()
        error.hint = f"{self.clean(message)}; or set {self.variables()[0]}, or api_key in [providers.{self.name}]."
        return error

    def unsupported(self, message: str) -> ValidationError:
        return ValidationError(
            self.clean(message),
            field="request",
            hint="Choose another model, or ask without it. `llm models --options` shows what each model takes.",
        )

    def died(self, model: str) -> LLMSpellError:
        error = self.plain("the model's process ended in the middle of the answer", model)
        error.hint = (
            "Try again. If it happens every time, the model's plugin crashes: run `llm -m` with the same model."
        )
        return error
