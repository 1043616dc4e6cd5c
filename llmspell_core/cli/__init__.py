"""The command line. `main` is the console script; each command lives in its own module and is imported when it runs."""

from __future__ import annotations

import gc
from collections.abc import Sequence

__all__ = ["main"]


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code."""
    # Starting makes many objects and drops none: looking for garbage then, and once more at exit, is a tenth of
    # `--help`. `Shell.runtime` switches the collector on again.
    gc.disable()
    from llmspell_core.cli.failures import guarded

    try:
        return guarded(arguments)
    finally:
        gc.enable()
        if arguments is None:
            gc.freeze()
