"""The vendor's client with one more method. Importing this module imports the package `ollama`."""

from __future__ import annotations

from typing import Any

from ollama import AsyncClient, ResponseError

__all__ = ["Client", "Reply"]


class Reply:
    """An answer of `/api/chat`, or a part of one, as it came: the package's own type refuses calls that it can't read.

    Raises: ResponseError for an error in place of an answer.
    """

    def __init__(self, **fields: Any) -> None:
        if fields.get("error"):
            raise ResponseError(str(fields["error"]))
        self.fields = fields


class Client(AsyncClient):
    async def chat_body(self, body: dict[str, Any]) -> Any:
        """As `chat`, for a body that is ready: the package's own model of a tool drops all that is nested in its schema."""
        return await self._request(Reply, "POST", "/api/chat", json=body, stream=body["stream"])
