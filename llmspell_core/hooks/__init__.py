"""Hooks: functions that see an operation before and after it happens, and may change it.

A hook is a callable that takes a `HookContext` and returns a `HookResult`, None (continue), or what a script may
return: a word, or a table with `type`. Hooks of one point run in order of priority (lower first, then in order of
registration). A point nobody listens to costs one look-up.
"""

from __future__ import annotations

from llmspell_core.hooks.chain import HookHandle, Hooks
from llmspell_core.hooks.points import HOOK_POINTS, PRIORITIES, parse_point, parse_priority
from llmspell_core.hooks.result import HookContext, HookOutcome, HookResult

__all__ = [
    "HOOK_POINTS",
    "PRIORITIES",
    "HookContext",
    "HookHandle",
    "HookOutcome",
    "HookResult",
    "Hooks",
    "parse_point",
    "parse_priority",
]
