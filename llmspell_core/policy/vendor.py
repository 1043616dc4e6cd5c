"""What the policy says about the servers that providers speak to: `llmspell_core.provider.Network` of one runtime."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from llmspell_core.errors import ProviderError, SecurityError
from llmspell_core.policy.http import Http
from llmspell_core.policy.policy import Policy

__all__ = ["VendorNetwork"]


class VendorNetwork:
    def __init__(self, policy: Policy) -> None:
        self._policy = policy

    async def addresses(self, host: str, port: int) -> list[str]:
        with self._reported():
            return await self._policy.hosts.addresses(host, port)

    async def callers_addresses(self, scheme: str, host: str, port: int) -> list[str]:
        with self._reported():
            self._policy.hosts.check_url(scheme, host, port)
            return await self._policy.hosts.addresses(host, port)

    async def fetch(self, url: str) -> tuple[bytes, str | None]:
        answer = await Http(self._policy).request("GET", url)
        if not answer.is_success:
            raise ProviderError(
                f"the linked file {answer.url} cannot be fetched: status {answer.status_code}",
                hint="Check the link, or send the data itself, in base64.",
            )
        mime = answer.headers.get("content-type", "").partition(";")[0].strip()
        return answer.content, mime or None

    @contextmanager
    def _reported(self) -> Iterator[None]:
        try:
            yield
        except SecurityError as error:
            self._policy.report_soon(error)
            raise
