"""What the wire notes on an answer for the provider that reads it."""

from __future__ import annotations

__all__ = ["SAID_DONE"]

SAID_DONE = "llmspell.said_done"
"""The key of a response's `extensions` that holds something once the server said `[DONE]`."""
