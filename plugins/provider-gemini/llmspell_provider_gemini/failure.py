"""The exceptions of the `google-genai` package, and of the HTTP client below it, in the words of our error tree."""

from __future__ import annotations

import builtins
from typing import Any

from llmspell_core.errors import LLMSpellError
from llmspell_core.provider.failures import ServerFailures

__all__ = ["Failures"]


class Failures(ServerFailures):
    def translate(self, error: Exception, model: str, timeout: float) -> LLMSpellError | None:
        import httpx2
        from google.genai import errors

        if isinstance(error, builtins.TimeoutError | httpx2.TimeoutException):
            return self.timed_out(timeout)
        if isinstance(error, errors.APIError):
            return self._of_answer(error, model)
        if isinstance(error, httpx2.HTTPError | httpx2.StreamError | httpx2.InvalidURL):
            return self.of_connection(error, (httpx2.RemoteProtocolError, httpx2.ReadError))
        return None

    def _of_answer(self, error: Any, model: str) -> LLMSpellError:
        code, message = str(error.status or ""), str(error.message or error.details or "")
        status = int(error.code) if str(error.code).isdigit() else 500
        if status == 400 and "API key" in message:  # the vendor's answer to a wrong key
            status = 401
        headers = dict(getattr(error.response, "headers", None) or {})
        if "retry-after" not in headers and (wait := _retry_delay(error.details)) is not None:
            headers["retry-after"] = wait
        return self.of_status(status, message, model, code=code, headers=headers)


def _retry_delay(details: Any) -> str | None:
    """Seconds: the vendor says in the body how long to wait, `{"@type": ".../google.rpc.RetryInfo", "retryDelay": "7s"}`."""
    inner = details.get("error", details) if isinstance(details, dict) else None
    told = inner.get("details") if isinstance(inner, dict) else None
    delays = [str(each["retryDelay"]) for each in told or () if isinstance(each, dict) and each.get("retryDelay")]
    return delays[0].removesuffix("s") if delays else None
