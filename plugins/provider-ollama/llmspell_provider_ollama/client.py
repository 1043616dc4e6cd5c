"""The vendor's client with one more method. Importing this module imports the package `ollama`."""

from __future__ import annotations

from typing import Any

from ollama import AsyncClient, ChatResponse

__all__ = ["Client"]


class Client(AsyncClient):
    async def chat_body(self, body: dict[str, Any]) -> Any:
        """As `chat`, for a body that is ready: the package's own model of a tool drops all that is nested in its schema."""
        return await self._request(ChatResponse, "POST", "/api/chat", json=body, stream=body["stream"])
