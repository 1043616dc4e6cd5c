"""The exceptions of the `openai` package, and of the HTTP client below it, in the words of our error tree."""

from __future__ import annotations

import json
from typing import Any

from llmspell_core.errors import LLMSpellError
from llmspell_core.provider.failures import ServerFailures

__all__ = ["Failures"]


class Failures(ServerFailures):
    def translate(self, error: Exception, model: str, timeout: float) -> LLMSpellError | None:
        import httpx2
        import openai

        if isinstance(error, openai.APITimeoutError | httpx2.TimeoutException):
            return self.timed_out(timeout)
        if isinstance(error, openai.APIStatusError):
            return self._of_answer(error, model)
        if isinstance(error, openai.APIConnectionError | httpx2.HTTPError | httpx2.StreamError | httpx2.InvalidURL):
            return self.of_connection(error, (httpx2.RemoteProtocolError, httpx2.ReadError))
        if isinstance(error, openai.APIResponseValidationError | json.JSONDecodeError | UnicodeDecodeError):
            return self.garbage(model, "something that is not JSON")
        if isinstance(error, openai.APIError):  # an error event within a stream
            return self._of_event(error, model)
        if isinstance(error, openai.OpenAIError):
            return self.plain(str(error), model)
        return None

    def _of_answer(self, error: Any, model: str) -> LLMSpellError:
        code = " ".join(str(word) for word in (error.code, error.type) if word)
        return self.of_status(
            int(error.status_code), _message(error), model, code=code, headers=error.response.headers, field=error.param
        )

    def _of_event(self, error: Any, model: str) -> LLMSpellError:
        """It has no status of its own; some servers put one into the code. The package drops an error that is a text."""
        return self.in_answer(error.body or {"message": str(error.message)}, model)


def _message(error: Any) -> str:
    """The server's own words; servers disagree on where to put them."""
    body = error.body
    if isinstance(body, dict):
        inner = body.get("error", body)
        words = inner.get("message") or inner.get("detail") if isinstance(inner, dict) else inner
        if words:
            return str(words)
    return body if isinstance(body, str) and body else str(error.message)
