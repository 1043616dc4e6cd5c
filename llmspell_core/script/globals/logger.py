"""The script globals `Logger` and `Utils`, which have no life of their own."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from llmspell_core.script.declare import Function, Global, Param
from llmspell_core.script.globals.debug import log_message

if TYPE_CHECKING:
    from llmspell_core.script.scope import ScriptScope

LEVELS = ("trace", "debug", "info", "warn", "error")
PARAMS = (Param("message"), Param("module", "string", required=False))


def _at(level: str) -> Function:
    def write(scope: ScriptScope, message: Any, module: str | None) -> None:
        log_message(scope, level, message, module, None)

    return Function(level, write, PARAMS, post=True, returns="nil", doc=f"The same as `Debug.{level}`.")


GLOBAL = Global(
    "Logger", doc="Another name for the logging of `Debug`.", functions=tuple(_at(level) for level in LEVELS)
)
UTILS = Global("Utils", doc="Empty: there so that scripts may look for it.")
