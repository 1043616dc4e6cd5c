"""Declarations for editors, generated from the same description as the globals themselves.

`lua_stubs` writes annotations for the Lua language server (one `---@meta` file), `typescript_stubs` a `.d.ts` file for
scripts in JavaScript: use it with `"lib": ["es2023"]` and `"types": []`, which leaves out browsers and Node.
The one thing that checkers do not know is a `return` at the top level of a script (TypeScript's error 1108).
"""

from __future__ import annotations

from llmspell_core.script.stubs.lua import lua_stubs
from llmspell_core.script.stubs.typescript import typescript_stubs

__all__ = ["lua_stubs", "typescript_stubs"]
