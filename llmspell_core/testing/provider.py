"""The contract of a model provider, as tests to inherit.

    from llmspell_core.testing import ProviderContract

    class TestMyProvider(ProviderContract):
        model = "tiny"

        def make_provider(self) -> Provider:          # speaks to a server that really answers
            return MyProvider(ProviderSettings("mine", "mine", base_url=..., api_key=self.key))

        def make_provider_at(self, url: str) -> Provider:      # the same, speaking to `url`, without retries
            return MyProvider(ProviderSettings("mine", "mine", base_url=url, api_key=self.key, max_retries=0))

`ProviderAnswers` asks the real server; `ProviderFailures` lets the provider meet one that fails,
`ProviderOddities` one that answers oddly; `ProviderWire` looks at what is sent, and where.
"""

from __future__ import annotations

from llmspell_core.testing.provider_answers import ProviderAnswers
from llmspell_core.testing.provider_failures import ProviderFailures
from llmspell_core.testing.provider_oddities import ProviderOddities
from llmspell_core.testing.provider_wire import ProviderWire

__all__ = ["ProviderAnswers", "ProviderContract", "ProviderFailures", "ProviderOddities", "ProviderWire"]


class ProviderContract(ProviderAnswers, ProviderOddities, ProviderWire):
    """All of it. A provider that cannot be pointed at an address inherits only `ProviderAnswers`, and owes tests of its
    own for what can go wrong.
    """
