"""Both VMs doing real work behind the fence, without anything of llmspell around them."""

from __future__ import annotations

import json
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

from llmspell_core.script import fence

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="Landlock and seccomp are Linux features")

BEGIN = """
import json, sys
sys.path[:0] = json.loads(sys.argv[1])
import {library} as library
from llmspell_core.script import fence
fence.apply({{"memory_bytes": 128 << 20, "require_fence": True, "jit": {jit}}})
results = []
def attempt(work, *args):
    try:
        results.append(work(*args))
    except Exception as error:
        results.append([type(error).__name__, str(error)[:200]])
"""
END = "\nprint(json.dumps(results))"


def fenced(library: str, body: str, *, jit: bool = False) -> list[Any]:
    spec = find_spec(library.partition(".")[0])
    assert spec
    assert spec.origin
    parent = Path(spec.origin).parents[1 if spec.submodule_search_locations else 0]
    places = [str(parent), str(Path(fence.__file__).parents[3])]
    command = [
        sys.executable,
        "-I",
        "-S",
        "-c",
        BEGIN.format(library=library, jit=jit) + body + END,
        json.dumps(places),
    ]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, env={})
    assert done.returncode == 0, done.stderr
    results: list[Any] = json.loads(done.stdout)
    return results


LUA = """
lua = library.LuaRuntime(register_eval=False, register_builtins=False)
attempt(lua.execute, "local t = {} for i = 1, 200000 do t[i] = ('x'):rep(8) .. i end t = nil return collectgarbage('count') > 0")
attempt(lua.execute, "local function fib(n) if n < 2 then return n end return fib(n-1) + fib(n-2) end return fib(22)")
attempt(lua.execute, "local s = 0 for i = 1, 3000000 do s = s + i % 7 end return s > 0")
attempt(lua.execute, "local function f() return 1 + f() end return (pcall(f))")
attempt(lua.execute, "error('on purpose')")
attempt(lua.execute, "return type(os.date()), type(os.time()), type(os.clock())")
attempt(lua.execute, "return (io.open('/etc/passwd'))")
attempt(lua.execute, "return (io.popen('true'))")
attempt(lua.execute, "local t = {} while true do t[#t + 1] = ('x'):rep(100000) .. #t end")
attempt(lua.execute, "return 1 + 1")
"""


# LuaJIT panics when its code memory is refused, so it either compiles nothing or is granted executable memory.
VARIANTS = {
    "lupa.lua54": (LUA, False),
    "lupa.lua55": (LUA, False),
    "lupa.luajit21": (LUA, True),
    "lupa.luajit20": (LUA.replace("attempt", "lua.execute('jit.off()')\nattempt", 1), False),
}


@pytest.mark.parametrize("library", VARIANTS)
def test_lua_computes_fails_and_runs_out_of_memory_behind_the_fence(library: str) -> None:
    body, jit = VARIANTS[library]
    results = fenced(library, body, jit=jit)
    assert results[:4] == [True, 17711, True, False]
    assert "on purpose" in results[4][1]
    assert results[5] == ["string", "number", "number"]
    assert results[6] is None
    assert results[7] is None or "not supported" in str(results[7])
    assert results[8][0] == "LuaMemoryError" or "not enough memory" in results[8][1]
    assert results[9] == 2


JAVASCRIPT = """
context = library.Context()
context.set_memory_limit(128 << 20)  # as the engine does; without it the VM does not survive that there is no memory
attempt(context.eval, "const t = []; for (let i = 0; i < 100000; i++) t.push({n: 'x' + i}); t.length")
attempt(context.eval, "(function fib(n) { return n < 2 ? n : fib(n - 1) + fib(n - 2) })(20)")
attempt(context.eval, "let deep = 0; (function f() { deep++; try { f() } catch (e) {} })(); deep > 100")
attempt(context.eval, "throw new Error('on purpose')")
attempt(context.eval, "new Date().getFullYear() > 2000 && /(a|b)+c/.test('ababc') && Math.random() < 1")
attempt(context.eval, "JSON.parse(JSON.stringify({a: [1, 2, 3]})).a.length")
attempt(context.eval, "const all = []; while (true) all.push(new Array(100000).fill(all.length))")
attempt(library.Context().eval, "1 + 1")
context.gc()
"""


def test_javascript_computes_fails_and_runs_out_of_memory_behind_the_fence() -> None:
    results = fenced("_quickjs", JAVASCRIPT)  # `quickjs` itself starts a thread, which Landlock could not cover
    assert results[:3] == [100000, 6765, True]
    assert "on purpose" in results[3][1]
    assert results[4:6] == [True, 3]
    assert "memory" in results[6][1]
    assert results[7] == 2
