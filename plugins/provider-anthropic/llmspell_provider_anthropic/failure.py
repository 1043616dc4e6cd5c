"""The exceptions of the `anthropic` package in the words of our error tree."""

from __future__ import annotations

import json
from typing import Any

from llmspell_core.errors import LLMSpellError
from llmspell_core.provider.failures import ServerFailures

__all__ = ["Failures"]

STATUS_OF = {
    "invalid_request_error": 400,
    "authentication_error": 401,
    "billing_error": 402,
    "permission_error": 403,
    "not_found_error": 404,
    "request_too_large": 413,
    "rate_limit_error": 429,
    "api_error": 500,
    "timeout_error": 408,
    "overloaded_error": 529,
}
"""What the vendor's words stand for where there is no status: in an error event within a stream."""


class Failures(ServerFailures):
    def translate(self, error: Exception, model: str, timeout: float) -> LLMSpellError | None:
        import anthropic
        import httpx2

        if isinstance(error, anthropic.APITimeoutError | httpx2.TimeoutException):
            return self.timed_out(timeout)
        if isinstance(error, anthropic.APIStatusError):
            return self._of_answer(error, model)
        if isinstance(error, anthropic.APIConnectionError | httpx2.HTTPError | httpx2.StreamError | httpx2.InvalidURL):
            return self.of_connection(error, (httpx2.RemoteProtocolError, httpx2.ReadError))
        if isinstance(error, json.JSONDecodeError | UnicodeDecodeError | anthropic.APIResponseValidationError):
            return self.garbage(model)
        if isinstance(error, anthropic.AnthropicError):
            return self.plain(str(error), model)
        return None

    def _of_answer(self, error: Any, model: str) -> LLMSpellError:
        inner = error.body.get("error") if isinstance(error.body, dict) else None
        inner = inner if isinstance(inner, dict) else {}
        code, message = str(inner.get("type") or ""), str(inner.get("message") or error.message)
        status = int(error.status_code)
        if status < 400:
            status = STATUS_OF.get(code, 500)
        return self.of_status(status, message, model, code=code, headers=error.response.headers)

    def in_answer(self, error: Any, model: str) -> LLMSpellError:
        """The vendor's word stands for a status."""
        kind = str(error.get("type") or "") if isinstance(error, dict) else ""
        if kind in STATUS_OF:
            return self.of_status(STATUS_OF[kind], str(error.get("message") or kind), model, code=kind)
        return super().in_answer(error, model)
