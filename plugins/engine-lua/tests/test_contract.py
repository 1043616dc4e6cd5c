"""The contract that every engine keeps, in Lua."""

from __future__ import annotations

from llmspell_core.testing import EngineContract
from llmspell_core.testing.engine import Snippets


class TestLua(EngineContract):
    engine = "lua"
    snippets = Snippets(
        echo="return JSON.parse(ARGS.value)",
        prints='print("one") print("two")',
        fails_on_line_three="local x = 1\nx = x + 1\nerror('boom')",
        syntax_error="local = 3",
        calls_tool="""
            local function outer()
              local co = coroutine.wrap(function()
                return select(2, pcall(Tool.execute, "probe", {text = "ping"}))
              end)
              return co()
            end
            return outer().result.echo""",
        catches_tool_error='local ok, err = pcall(Tool.execute, "probe", {text = 42}) return err',
        endless="while true do end",
        endless_guarded="while true do pcall(function() while true do end end) end",
        hungry="local t = {} while true do t[#t + 1] = string.rep('x', 1000) .. #t end",
        sets_global="leaked = 1",
        reads_global="return leaked ~= nil",
        hook="""
            Hook.register("BeforeToolExecution", function(ctx) return {type = "cancel", reason = "no"} end)
            local ok, err = pcall(Tool.execute, "probe", {text = "x"})
            return err""",
        escapes=(
            "return io.open('@secret@'):read('a')",
            "return dofile('@secret@')",
            "return loadfile and loadfile('@secret@')",
            "return io.popen('cat @secret@'):read('a')",
            "return os.execute('cat @secret@')",
            "return python.builtins.open('@secret@').read()",
            "return require('io').open('@secret@'):read('a')",
            "return package.loadlib('libc.so.6', 'system')('cat @secret@')",
            "return debug.getregistry()",
        ),
    )
