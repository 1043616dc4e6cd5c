"""What stands between an agent and a model's server: retries, limits, a circuit breaker, prices, and fallback chains.

All of it happens at the desk, once: agents see a `Provider`. Own code and no library, because each of these needs what
the libraries do not have: Retry-After, counts that are known only after the call, and an answer that comes as a stream.
"""

from __future__ import annotations

from llmspell_core.resilience.fallback import FallbackProvider
from llmspell_core.resilience.guarded import GuardedProvider, guarded
from llmspell_core.resilience.totals import ProviderTotals, Totals

__all__ = ["FallbackProvider", "GuardedProvider", "ProviderTotals", "Totals", "guarded"]
