"""The command line. `main` is the console script; each command lives in its own module and is imported when it runs."""

from __future__ import annotations

import gc
import os
from collections.abc import Sequence

__all__ = ["main"]


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code."""
    # Starting makes many objects and drops none: looking for garbage then, and once more at exit, is a tenth of
    # `--help`. `Shell.runtime` switches the collector on again.
    gc.disable()
    # pydantic looks for plugins of its own among all distributions, and gives up with the first one that is damaged.
    os.environ.setdefault("PYDANTIC_DISABLE_PLUGINS", "__all__")
    try:
        from llmspell_core.cli.failures import guarded

        return guarded(arguments)
    except KeyboardInterrupt:  # while it still imports what would say so better
        os.write(2, b"Interrupted\n")
        return 130
    finally:
        gc.enable()
        if arguments is None:
            gc.freeze()
