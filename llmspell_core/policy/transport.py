"""The one place that opens connections for tools; imported with httpx2, when the first request is sent."""

from __future__ import annotations

import http.cookiejar
from typing import TYPE_CHECKING

import httpx2

from llmspell_core.pinned import PinnedTransport

if TYPE_CHECKING:
    from llmspell_core.policy.policy import Policy

__all__ = ["make_client"]


def make_client(policy: Policy) -> httpx2.AsyncClient:
    context = httpx2.create_ssl_context(verify=policy.settings.verify_ssl)
    # Proxies of the environment are not used: behind one, the address of a host cannot be checked.
    return httpx2.AsyncClient(
        transport=PinnedTransport(policy.hosts.addresses, context),
        headers=dict(policy.settings.default_headers),
        cookies=http.cookiejar.CookieJar(http.cookiejar.DefaultCookiePolicy(allowed_domains=[])),
        trust_env=False,
        timeout=None,
    )
