"""The Lua engine of llmspell: Lua 5.4 by default, LuaJIT where `engines.lua.variant = "luajit"` asks for it."""

from __future__ import annotations

from typing import Any, ClassVar

from llmspell_core.errors import ConfigurationError
from llmspell_core.script.engine import ScriptEngine

__all__ = ["Lua"]

VARIANTS = {"lua54": "lua54", "lua5.4": "lua54", "lua55": "lua55", "lua5.5": "lua55", "luajit": "luajit21"}


class Lua(ScriptEngine):
    """Lua scripts, each in its own process."""

    name = "lua"
    language = "lua"
    description = "Lua 5.4 (lupa); LuaJIT on request"
    extensions: ClassVar[tuple[str, ...]] = (".lua",)
    aliases: ClassVar[tuple[str, ...]] = ("lua5.4",)
    vm = "llmspell_engine_lua.vm:LuaVM"
    library = "lupa"
    package = "lupa"

    def options(self) -> dict[str, Any]:
        variant = str(self.settings.get("variant") or "lua54")
        if variant not in VARIANTS:
            raise ConfigurationError(
                f"engines.lua.variant is '{variant}'",
                setting="engines.lua.variant",
                hint=f"Use one of {', '.join(VARIANTS)}.",
            )
        return {**self.settings, "variant": VARIANTS[variant]}

    def fence_options(self) -> dict[str, Any]:
        return {"jit": str(self.options()["variant"]).startswith("luajit")}
