"""The global options of the program, and what they are when they are not given."""

from __future__ import annotations

import os
from dataclasses import dataclass, field

__all__ = ["FORMATS", "LEVELS", "Options", "choice"]

FORMATS = ("text", "json", "pretty")
LEVELS = ("off", "error", "warn", "info", "debug", "trace")


def choice(variable: str, allowed: tuple[str, ...], default: str) -> str:
    """What an environment variable says, if it is one of the allowed words."""
    value = os.environ.get(variable, "").lower()
    return value if value in allowed else default


@dataclass
class Options:
    """The global options; those not given come from the environment."""

    config: str | None = None
    profile: str | None = None
    output: str = field(default_factory=lambda: choice("LLMSPELL_OUTPUT", FORMATS, "text"))
    trace: str = field(default_factory=lambda: choice("LLMSPELL_TRACE", LEVELS, ""))
    tree: bool = False
    """Whether to show what a run did."""
    quiet: bool = False
    security_profile: str | None = None
