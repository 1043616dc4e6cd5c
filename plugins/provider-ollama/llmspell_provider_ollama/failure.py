"""The exceptions of the `ollama` package, and of the HTTP client below it, in the words of our error tree."""

from __future__ import annotations

import builtins
from typing import Any

from llmspell_core.errors import LLMSpellError, ModelNotFoundError, NetworkError, ValidationError
from llmspell_core.provider.failures import ServerFailures

__all__ = ["Failures"]


class Failures(ServerFailures):
    def translate(self, error: Exception, model: str, timeout: float) -> LLMSpellError | None:
        import httpx
        import ollama

        if isinstance(error, builtins.TimeoutError | httpx.TimeoutException):
            return self.timed_out(timeout)
        if isinstance(error, ollama.ResponseError):
            return self._of_answer(error, model)
        if isinstance(error, httpx.RemoteProtocolError | httpx.ReadError):
            return self.broken_off()
        if isinstance(error, httpx.DecodingError):
            return self.of_connection(error, ())
        if isinstance(error, ConnectionError | httpx.HTTPError | httpx.InvalidURL | httpx.StreamError):
            return self.unreachable(_cause(error))
        return None

    def unreachable(self, why: str) -> NetworkError:
        error = super().unreachable(why)
        error.hint = (
            f"Start the server: ollama serve. If it runs elsewhere, set OLLAMA_BASE_URL or base_url in "
            f"[providers.{self.name}]."
        )
        return error

    def no_model(self, message: str, model: str, status: int | None = None) -> ModelNotFoundError:
        error = super().no_model(message, model, status)
        error.hint = f"Fetch it: llmspell model pull {model} --backend {self.name}"
        return error

    def _of_answer(self, error: Any, model: str) -> LLMSpellError:
        """The package throws the headers away; they are still on the exception that this one was made from."""
        import httpx

        status, message = int(error.status_code), str(error.error)
        below = error.__context__
        headers = below.response.headers if isinstance(below, httpx.HTTPStatusError) else {}
        if "manifest" in message and "not exist" in message:
            unknown = super().no_model(message, model)
            unknown.hint = "Look the name up in the library: https://ollama.com/library"
            return unknown
        if status < 0:  # an error within a stream has no status
            return self.by_words("", message, model) or self.plain(message, model)
        found = self.of_status(status, message, model, headers=headers)
        if isinstance(found, ValidationError) and "does not support" in message:
            found.hint = "Choose a model that can do this, e.g. one that `ollama show` lists the capability for."
        return found


def _cause(error: Exception) -> str:
    """The package replaces the system's words by a paragraph of its own; the cause is shorter."""
    below = error.__context__
    return str(below or error)
