"""The command line. `main` is the console script; each command lives in its own module and is imported when it runs."""

from __future__ import annotations

from collections.abc import Sequence

__all__ = ["main"]


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code."""
    from llmspell_core.cli.failures import guarded

    return guarded(arguments)
