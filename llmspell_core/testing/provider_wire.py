"""The part of the provider contract that looks at what goes over the wire: whose keys, and to whom."""

from __future__ import annotations

import base64
import json
import os
import re
import tempfile
from collections.abc import Collection, Iterator, MutableMapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar

import pytest

from llmspell_core.errors import LLMSpellError, SecurityError
from llmspell_core.messages import Message
from llmspell_core.provider import CompletionRequest, Provider
from llmspell_core.testing.contract import Contract
from llmspell_core.testing.exchange import collected, error_of, opened
from llmspell_core.testing.fake_server import FakeServer, Received, Reply

__all__ = ["ProviderWire", "baited"]

SECRET = "bait-8d1f0c55"
SECRETS = (
    "OPENAI_API_KEY", "OPENAI_ADMIN_KEY", "OPENAI_ORG_ID", "OPENAI_PROJECT_ID", "OPENAI_WEBHOOK_SECRET",
    "AZURE_OPENAI_API_KEY", "ANTHROPIC_API_KEY", "ANTHROPIC_AUTH_TOKEN", "ANTHROPIC_PROFILE", "ANTHROPIC_IDENTITY_TOKEN",
    "ANTHROPIC_ORGANIZATION_ID", "GOOGLE_API_KEY", "GEMINI_API_KEY", "GOOGLE_CLOUD_PROJECT", "OLLAMA_API_KEY",
    "MISTRAL_API_KEY", "GROQ_API_KEY", "COHERE_API_KEY", "LLM_API_KEY", "HF_TOKEN", "HUGGING_FACE_HUB_TOKEN",
    "AWS_SECRET_ACCESS_KEY", "AWS_BEARER_TOKEN_BEDROCK", "GITHUB_TOKEN",
)  # fmt: skip
ADDRESSES = (
    "OPENAI_BASE_URL", "ANTHROPIC_BASE_URL", "GOOGLE_GEMINI_BASE_URL", "GOOGLE_VERTEX_BASE_URL", "OLLAMA_HOST",
    "OLLAMA_BASE_URL", "AZURE_OPENAI_ENDPOINT", "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "http_proxy", "https_proxy",
    "all_proxy",
)  # fmt: skip
HEADERS = ("OPENAI_CUSTOM_HEADERS", "ANTHROPIC_CUSTOM_HEADERS")
SWITCHES = ("GOOGLE_GENAI_USE_VERTEXAI", "GOOGLE_GENAI_USE_ENTERPRISE")
# What a package may ask for besides these. Settings of llmspell itself and of the system are no vendor's.
NUMBER_NAME = re.compile(r"(^|_)(MAX|MIN|NUM|LIMIT|SIZE|TIMEOUT)(_|$)", re.IGNORECASE)
"""A package that is imported just now may want a number there: `WEBSOCKETS_MAX_NUM_HEADERS`."""
SECRET_NAME = re.compile(
    r"(KEY|TOKEN|SECRET|PASSWORD|CREDENTIALS?|ORG|ORG_ID|ORGANIZATION|PROJECT|PROJECT_ID|HEADERS)$"
)
ADDRESS_NAME = re.compile(r"(BASE_URL|_ENDPOINT|_HOST|_PROXY)$")
REDIRECTS = (301, 302, 307, 308)
BAD_ENDS = ("\nX-Injected: 1", "\r", "\x00", "é")


class ProviderWire(Contract):
    """What a provider sends, and where. `key` and `make_provider_at` are those of `ProviderFailures`; other keys are put
    into the provider's `settings` before its first request. Attributes to set in the subclass:

    own_variables: those that this provider itself reads for a server of the operator's, where a key is missing.
    """

    model: ClassVar[str] = "test-model"
    key: ClassVar[str] = "sk-contract-3f9a1c77d2"
    own_variables: ClassVar[tuple[str, ...]] = ()

    def make_provider_at(self, url: str) -> Provider:
        raise NotImplementedError(f"{type(self).__name__} must define make_provider_at")

    async def test_nothing_of_the_environment_goes_over_the_wire(self) -> None:
        """A package of a vendor looks for keys, account names, addresses and proxies of its own. None of them is anybody's
        business but the vendor's: a script may have named the server.

        If this fails, give the package the client of `self.wire(base_url)`, and an explicit value, empty if need be, for
        everything that it would read from a variable.
        """
        async with FakeServer(Reply(500, {"error": "no"})) as server:
            await self._ask(server.url)
        sends_key = any(self.key in json.dumps(received.headers) for received in server.received)
        for key, of_caller in ((self.key, False), ("", False), ("", True)):
            async with FakeServer(Reply(500, {"error": "no"})) as server, FakeServer(Reply(500)) as decoy:
                with baited(decoy.url, () if of_caller else self.own_variables):
                    await self._ask(server.url, key, of_caller=of_caller)
                assert not decoy.received, f"a request went to an address of the environment: {decoy.received[0].path}"
                for received in server.received:
                    assert not _bait_in(received), f"the bait is in the request: {received!r}"
                    assert not (key and sends_key) or key in json.dumps(received.headers), "the given key is lost"

    @pytest.mark.parametrize("status", REDIRECTS)
    async def test_a_redirect_to_another_server_is_refused(self, status: int) -> None:
        """Who answers with a redirect could have the request, and its key, sent to any server of the network.

        If this fails, give the package the client of `self.wire(base_url)`; what it refuses must not be hidden by another
        error: `ServerFailures.mapped` finds it.
        """
        async with FakeServer(Reply(200, {"secret": SECRET})) as other:
            async with FakeServer(Reply(status, b"", {"Location": f"{other.url}/inside"})) as server:
                error, streamed = await self._ask(server.url)
            assert not other.received, "the other server was asked"
        for each in (error, streamed):
            assert isinstance(each, SecurityError), f"got {each!r}"
            assert other.url.rpartition(":")[2] in each.message, "the error does not name the other server"
            assert each.hint

    @pytest.mark.parametrize("end", BAD_ENDS)
    async def test_a_key_that_no_header_carries_is_refused_unseen(self, end: str) -> None:
        """A line break in a key comes from a file or a copy; clients show the whole header when they refuse it.

        If this fails, call `self.wire(base_url)` before the first request; it checks the key.
        """
        async with FakeServer(Reply(500, {"error": "no"})) as server:
            found = await self._ask(server.url, f"{self.key}{end}x")
            assert not server.received, "a request went out"
        for error in found:
            assert error is not None
            assert error.hint, "say what to do"
            for shown in (repr(error), str(error), json.dumps(error.to_dict()), repr(error.__dict__)):
                assert self.key not in shown, "the API key is in the error"

    async def test_a_line_break_at_the_end_of_a_key_is_no_part_of_it(self) -> None:
        """`$(cat file)` in a configuration, or an editor, adds one; nobody means it.

        If this fails, take the key from `settings.api_key`, which has none.
        """
        async with FakeServer(Reply(500, {"error": "no"})) as server:
            await self._ask(server.url, f"{self.key}\n")
            assert server.received, "no request went out"

    async def test_a_server_that_a_caller_named_is_judged_by_the_policy(self) -> None:
        """With `settings.from_caller` a script named the server; the policy is asked about it at every connection, because
        a name may lead elsewhere a moment later.

        If this fails, give the package the client of `self.wire(base_url)`, or ask `self.network.callers_addresses` and
        connect to what it answers.
        """
        async with FakeServer(Reply(500, {"error": "no"})) as server:
            found = await self._ask(server.url, of_caller=True, network=_Nobody())
            assert not server.received, "a request went out"
        for error in found:
            assert isinstance(error, SecurityError), f"got {error!r}"

    async def _ask(
        self, url: str, key: str | None = None, *, of_caller: bool = False, network: Any = None
    ) -> tuple[LLMSpellError, LLMSpellError | None]:
        """The errors of a call and of a stream."""
        provider = self.make_provider_at(url)
        made = provider.settings if key is None else replace(provider.settings, api_key=key)
        provider.settings.api_key, provider.settings.from_caller = made.api_key, of_caller
        provider.network = network or _Anybody()
        request = CompletionRequest(self.model, [Message("user", "Say hello.")])
        async with opened(provider):
            error = await error_of(provider, request)
            with pytest.raises(LLMSpellError) as streamed:
                await collected(provider, request)
        return error, streamed.value


class _Anybody:
    """A policy that lets everybody pass."""

    async def addresses(self, host: str, port: int) -> list[str]:
        return ["127.0.0.1" if host == "localhost" else host]

    async def callers_addresses(self, scheme: str, host: str, port: int) -> list[str]:
        return await self.addresses(host, port)

    async def fetch(self, url: str) -> tuple[bytes, str | None]:
        raise SecurityError(f"{url} is not for tests", violation_type="host_denied")


class _Nobody(_Anybody):
    async def addresses(self, host: str, port: int) -> list[str]:
        raise SecurityError(f"host '{host}' may not be reached", violation_type="address_denied", hint="Stay at home.")


def _bait_in(received: Received) -> bool:
    whole = json.dumps([received.path, received.headers]) + received.body.decode("utf-8", "replace")
    basic = [word for word in received.headers.get("authorization", "").split() if word.lower() != "basic"]
    return SECRET in whole or any(SECRET.encode() in _decoded(word) for word in basic)


def _decoded(word: str) -> bytes:
    try:
        return base64.b64decode(word, validate=True)
    except ValueError:
        return b""


@contextmanager
def baited(decoy: str, but: Collection[str] = ()) -> Iterator[None]:
    """An environment full of keys, and of addresses that lead to `decoy`, without the variables `but`.

    Variables that nobody has thought of are there as soon as somebody asks for one that is named like a secret or an
    address.
    """
    with pytest.MonkeyPatch.context() as patch, tempfile.TemporaryDirectory() as folder:
        netrc = Path(folder) / "netrc"
        netrc.write_text(f"machine 127.0.0.1\nlogin somebody\npassword {SECRET}\n", "utf-8")
        netrc.chmod(0o600)
        values = dict.fromkeys(SECRETS, SECRET) | dict.fromkeys(ADDRESSES, decoy) | dict.fromkeys(SWITCHES, "true")
        values |= dict.fromkeys(HEADERS, f"X-Bait: {SECRET}\nUser-Agent: {SECRET}\nAuthorization: Bearer {SECRET}")
        for name, value in (values | {"NETRC": str(netrc)}).items():
            patch.setenv(name, value)
        for name in ("NO_PROXY", "no_proxy"):
            patch.delenv(name, raising=False)
        patch.setattr(os, "environ", _Baited(os.environ, decoy, but))
        yield


class _Baited(MutableMapping[str, str]):
    def __init__(self, real: MutableMapping[str, str], decoy: str, but: Collection[str]) -> None:
        self._real = real
        self._decoy = decoy
        self._but = but

    def __getitem__(self, name: str) -> str:
        if name in self._but:
            raise KeyError(name)
        if name in self._real or not isinstance(name, str) or name.startswith(("LLMSPELL_", "PYTHON", "PYTEST")):
            return self._real[name]
        if name.lower() != "no_proxy" and ADDRESS_NAME.search(name):
            return self._decoy
        if SECRET_NAME.search(name) and not NUMBER_NAME.search(name):
            return SECRET
        raise KeyError(name)

    def __setitem__(self, name: str, value: str) -> None:
        self._real[name] = value

    def __delitem__(self, name: str) -> None:
        del self._real[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._real)

    def __len__(self) -> int:
        return len(self._real)

    def copy(self) -> dict[str, str]:
        return dict(self._real)
