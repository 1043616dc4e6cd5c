# ruff: noqa: E501 - each case is one line
"""The language stays what its manual says, in every variant: functions, coroutines, errors, files, what scripts see of themselves.

Each check is an expression or a body that returns true. They stand for lines of the official test files that once differed
from the bare interpreter, and for what wrapping a language breaks easily.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from llmspell_core.errors import ScriptError

VARIANTS = ("lua54", "lua55", "luajit")

EVERYWHERE = {
    # load and the blocks behind it (calls)
    "load reads pieces": """
        local pieces, i = {"return ", "1", " + 1", nil}, 0
        return load(function() i = i + 1 return pieces[i] end)() == 2""",
    "load says why a reader failed": "local f, m = load(function() error('own', 0) end) return f == nil and m == 'own'",
    "load hands on what a reader raised": "local t = {} local f, m = load(function() error(t) end) return f == nil and m == t",
    "load wants text of a reader": "local f, m = load(function() return {} end) return f == nil and m:find('reader function must return a string')",
    "load knows modes": "local f, m = load('return 1', 'c', 'b') return f == nil and m:find('attempt to load a text chunk %(mode is')",
    "load takes no binary text": "local f, m = load('\\27Lua') return f == nil and m:find('attempt to load a binary chunk')",
    "load takes no binary pieces": "local n = 0 local f, m = load(function() n = n + 1 return n == 1 and '\\27Lua' or nil end) return f == nil and m:find('binary')",
    "load refuses other things": "local ok, m = pcall(load, {}) return not ok and m:find(\"bad argument #1 to 'load'\")",
    "load names its chunk": "local _, m = load('x x', '=name') return m:find('^name:1:')",
    "load has the environment that it is given": "return load('x = 5 return x', 'c', 't', {})() == 5 and x == nil",
    "loadfile and dofile": "return loadfile('values.lua')().a == 1 and dofile('values.lua').a == 1 and not pcall(dofile, {})",
    # goto, closures, varargs
    "closures have variables of their own": "local f = {} for n = 1, 3 do local i = n f[n] = function() i = i + 1 return i end end return f[1]() == 2 and f[1]() == 3 and f[2]() == 3",
    "goto continues": "local n = 0 for i = 1, 5 do if i % 2 == 0 then goto on end n = n + i ::on:: end return n == 9",
    "select counts from the end": "return select(-1, 1, 2, 3) == 3 and select('#', nil, nil) == 2 and not pcall(select, 0)",
    # coroutines
    "coroutines are the script's own": """
        local co = coroutine.create(function(a, b) local c = coroutine.yield(a + b) error({c}) end)
        local ok, sum = coroutine.resume(co, 1, 2)
        local bad, e = coroutine.resume(co, 7)
        return ok and sum == 3 and not bad and e[1] == 7 and coroutine.status(co) == "dead" """,
    "coroutine.create wants a function": "local ok, m = pcall(coroutine.create, 5) return not ok and m:find('bad argument #1 to ', 1, true)",
    "coroutine.wrap wants a function": "local ok, m = pcall(coroutine.wrap) return not ok and m:find('bad argument #1 to ', 1, true)",
    "wrapped coroutines hand on errors": "local t = {} local f = coroutine.wrap(function() error(t) end) local ok, e = pcall(f) return not ok and e == t",
    "a dead coroutine says so": "local f = coroutine.wrap(function() end) f() local ok, m = pcall(f) return not ok and m:find('cannot resume dead coroutine')",
    "yield inside pcall": """
        local co = coroutine.wrap(function() local ok, e = pcall(function() coroutine.yield(1) error('x', 0) end) coroutine.yield(e) return 'end' end)
        return co() == 1 and co() == 'x' and co() == 'end' """,
    "a coroutine cannot resume itself": "local co co = coroutine.wrap(function() return pcall(co) end) local ok, m = co() return ok == false and m:find('cannot resume')",
    "lines in a coroutine": """
        local function foo() return debug.getinfo(1).currentline == debug.getinfo(foo2 or foo, 'S').linedefined end
        return coroutine.wrap(foo)()""",
    # errors
    "errors keep their values": "local t = setmetatable({}, {}) local ok, e = pcall(error, t) return not ok and e == t",
    "an error without a value": "local ok, e = pcall(error) return not ok and (e == nil or e == '<no error object>')",
    "levels": "local function f() error('m', 2) end local ok, e = pcall(function() f() end) return e:find(':%d+: m$') and not select(2, pcall(error, 'm', 0)):find(':')",
    "xpcall hands arguments and results": "local ok, a = xpcall(function(x) return x end, print, 4) return ok and a == 4",
    "xpcall and the traceback": "local ok, t = xpcall(function() error('deep', 0) end, debug.traceback) return not ok and t:find('^deep\\nstack traceback:\\n') and not t:find('llmspell')",
    "variables are named": "local ok, m = pcall(function() local t = {} t.a.b = 1 end) return m:find(\"field 'a'\")",
    "globals are named": "local ok, m = pcall(function() return nowhere.x end) return m:find(\"global 'nowhere'\")",
    "arguments are numbered": "local ok, m = pcall(string.rep) return m:find('bad argument #1 to ', 1, true) or m",
    "our files are in no message": "local _, m = pcall(require) local _, n = pcall(coroutine.create, 1) return not (m .. n):find('[llmspell]', 1, true)",
    # tables, metatables
    "metatables": "local t = setmetatable({}, {__index = function(_, k) return k .. k end, __call = function(_, x) return x end}) return t.a == 'aa' and t(3) == 3",
    "protected metatables": "local t = setmetatable({}, {__metatable = 'no'}) return getmetatable(t) == 'no' and not pcall(setmetatable, t, {})",
    "the metatable of text is locked": "return getmetatable('') == false and ('x').rep == string.rep",
    "next refuses what is no key": "return not pcall(next, {}, 'nokey') and next({}) == nil and rawequal(next, next)",
    "sort": "local t = {3, 1, 2} table.sort(t, function(a, b) return a > b end) return table.concat(t) == '321' and not pcall(table.sort, {1, 2, 3}, function() error('x') end)",
    "concat": "return table.concat({1, 2, 'x'}, ', ', 2) == '2, x' and not pcall(table.concat, {{}})",
    # libraries
    "require knows the libraries": "for _, n in ipairs {'string', 'table', 'math', 'coroutine', 'os', 'io', 'debug'} do if require(n) ~= _G[n] then return n end end return require('_G') == _G",
    "package.loaded": "package.loaded.mine = {1} return require('mine')[1] == 1 and package.loaded['lib.tools'] == nil and require('lib.tools') == package.loaded['lib.tools']",
    "package.preload": "package.preload.pre = function(name) return name .. '!' end return require('pre') == 'pre!'",
    "package.path": "local before = package.path package.path = before .. ';./lib/?.lua' local m = require('tools') package.path = before return m.twice(4) == 8",
    "package says how names are written": "return package.config:sub(1, 1) == '/' and type(package.cpath) == 'string'",
    "collectgarbage": """
        return collectgarbage() == 0 and type(collectgarbage('count')) == 'number' and type(collectgarbage('step')) == 'boolean'
          and collectgarbage('isrunning') == true and collectgarbage('stop') == 0 and collectgarbage('isrunning') == false
          and collectgarbage('restart') == 0 and collectgarbage('setpause', 100) == 200 and collectgarbage('setpause') == 100
          and not pcall(collectgarbage, 'nope')""",
    "setlocale": "return os.setlocale() == 'C' and os.setlocale('C') == 'C' and os.setlocale('de_DE') == nil",
    "print asks for the text of a table": "print(setmetatable({}, {__tostring = function() return 'shown' end, __metatable = false})) return true",
    "tostring": "return tostring(nil) == 'nil' and tostring(1e15) and tonumber('0x10') == 16 and tonumber('z', 36) == 35",
    "patterns": "return ('hello world'):gsub('o', {o = '0'}) == 'hell0 w0rld' and ('k=v'):match('(%w+)=(%w+)') == 'k' and ('x'):find('x', 1, true) == 1",
    # what scripts see of themselves
    "debug.traceback": "local t = debug.traceback('m') return t:find('^m\\nstack traceback:\\n\\t') and not t:find('llmspell') and debug.traceback({}) ~= nil",
    "debug.traceback of a coroutine": "local co = coroutine.create(function() coroutine.yield() end) coroutine.resume(co) return debug.traceback(co, 'm'):find('^m\\nstack traceback:')",
    "debug.getinfo of a level": "local function named() return debug.getinfo(1, 'n').name, debug.getinfo(2, 'l').currentline end local n, l = named() return n == 'named' and type(l) == 'number'",
    "debug.getinfo of a function": "local function f(a) end local i = debug.getinfo(f) return i.func == f and i.what == 'Lua' and i.short_src == 'script.lua' and i.linedefined > 0",
    "debug.getinfo of nothing": "return debug.getinfo(1000) == nil and not pcall(debug.getinfo, 1, 'X') and not pcall(debug.getinfo, 'x')",
    # files
    "seek in a file that is written": """
        local f = io.open('data/w', 'w') f:write('abcdef')
        local at = f:seek('set', 2) f:write('X') f:close()
        return at == 2 and io.open('data/w'):read('a' == 'a' and '*a') == 'abXdef' """,
    "seek after a flush": "local f = io.open('data/fl', 'w') f:write('abc') f:flush() f:write('def') f:seek('set', 1) f:write('Z') f:close() return io.open('data/fl'):read('*a') == 'aZcdef'",
    "the end of what is appended to": """
        local f = io.open('data/ap', 'w') f:write('abc') f:close()
        f = io.open('data/ap', 'a') local at = f:seek('end') f:write('d') f:seek('set', 0) f:write('e') f:close()
        return at == 3 and io.open('data/ap'):read('*a') == 'abcde' """,
    "a+ reads from the start and writes at the end": "local f = io.open('data/ap2', 'a+') f:write('xy') f:seek('set') local a = f:read(1) f:write('z') f:seek('set') return a == 'x' and f:read('*a') == 'xyz'",
    "write wants text": "local f = io.open('data/x', 'w') local ok, m = pcall(f.write, f, 1, nil) return not ok and m:find(\"bad argument #2 to 'write' %(string expected, got nil%)\")",
    "numbers in files": """
        local f = io.open('data/n', 'w+') f:write('1e-5 10px 0x1F -3.5e2\\n\\n 7 nope') f:seek('set')
        local a, b = f:read('*n', '*n') local rest = f:read(2)
        local c, d, e = f:read('*n', '*n', '*n')
        return a == 1e-5 and b == 10 and rest == 'px' and c == 31 and d == -350 and e == 7 and f:read('*n') == nil""",
    "several formats a round": """
        local f = io.open('data/l', 'w') f:write('abcdef\\ng') f:close()
        local seen = {}
        for a, b in io.lines('data/l', 1, 2) do seen[#seen + 1] = a .. '|' .. tostring(b) end
        return table.concat(seen, ',') == 'a|bc,d|ef,\\n|g' """,
    "lines check their formats": "return not pcall(io.lines, 'data/l', 'x') and not pcall(io.lines, 'data/nowhere')",
    "read nothing at the end": "local f = io.open('data/l') return f:read(0) == '' and f:read('*a') ~= '' and f:read(0) == nil and f:read('*a') == ''",
    "the current output": """
        local f = io.open('data/out', 'w') local before = io.output() io.output(f) io.write('to ', 'file') io.close() io.output(before)
        return io.type(before) == 'file' and io.type(f) == 'closed file' and io.open('data/out'):read('*a') == 'to file' """,
    "a file that is read is not written": "local f = io.open('data/l') local r, m, c = f:write('x') return r == nil and c == 9 and io.type(5) == nil",
}
FIVE = {
    "to-be-closed variables": "local n = 0 do local x <close> = setmetatable({}, {__close = function() n = n + 1 end}) end return n == 1",
    "coroutine.close": "local n = 0 local co = coroutine.create(function() local x <close> = setmetatable({}, {__close = function() n = n + 1 end}) coroutine.yield() end) coroutine.resume(co) return coroutine.close(co) == true and n == 1 and coroutine.status(co) == 'dead'",
    "close in a wrapped coroutine": "local n = 0 local f = coroutine.wrap(function() local x <close> = setmetatable({}, {__close = function(_, e) n = e end}) error(43) end) pcall(f) return n == 43",
    "pack": "return string.unpack('<i4', string.pack('<i4', -7)) == -7 and string.packsize('i4i8') == 12 and string.pack('z', 'a') == 'a\\0'",
    "utf8": "return utf8.char(228, 8364) == 'ä€' and utf8.len('ä€') == 2 and utf8.codepoint('€') == 8364 and utf8.len('\\xff') == nil",
    "integers": "return 7 // 2 == 3 and 1 << 4 == 16 and math.type(2^53) == 'float' and math.tointeger(3.0) == 3 and 5 // 0.0 == math.huge and not pcall(function() return 1 // 0 end)",
    "text with arithmetic": "return '10' + 1 == 11 and '0x10' * 2 == 32 and 10 .. '' == '10'",
    "modes": "return collectgarbage('generational') == 'incremental' and collectgarbage('incremental') == 'generational'",
    "goto out of blocks": "do local i = 1 ::top:: i = i + 1 if i < 5 then goto top end return i == 5 end",
    "lines of what is closed": "local f for _ in io.lines('data/l') do break end return true",
}
JIT = {
    "bit": "return require('bit') == bit and bit.band(6, 3) == 2",
    "loadstring": "return loadstring('return 3')() == 3 and loadstring('\\27LJ') == nil",
}
# What only a script in a folder has.
OF_A_FILE = {"loadfile and dofile", "package.loaded", "package.path", "debug.getinfo of a function"}


def checks(variant: str) -> dict[str, str]:
    return EVERYWHERE | (JIT if variant == "luajit" else FIVE)


async def failed(run: Any, variant: str) -> list[str]:
    """Names of the checks that did not return true."""
    each = ",\n".join(
        f"{{[==[{name}]==], function() {body if 'return' in body else 'return ' + body} end}}"
        for name, body in checks(variant).items()
    )
    source = f"""
        local failed = {{}}
        for _, check in ipairs {{{each}}} do
          local ok, value = pcall(check[2])
          if not ok or not value or (value ~= true and type(value) ~= "number") then failed[#failed + 1] = check[1] .. ": " .. tostring(value) end
        end
        return JSON.array(failed)"""
    return await run(source)


@pytest.mark.parametrize("variant", VARIANTS)
async def test_a_script_meets_the_language_of_the_manual(lua: Any, variant: str) -> None:
    found = await failed(lambda source: lua.value(source, variant=variant), variant)
    assert found == [], "\n".join(found)
    assert ("stdout", "shown\n") in lua.printed


async def test_so_does_a_session(lua: Any, cell: Any) -> None:
    async def run(source: str) -> Any:
        return (await cell(source)).value

    found = [line for line in await failed(run, "lua54") if line.partition(":")[0] not in OF_A_FILE]
    assert found == [], "\n".join(found)


async def test_the_arguments_of_a_script_are_its_varargs(lua: Any) -> None:
    result = await lua.result("local a, b = ... return {a, b, select('#', ...)}", args=["one", "two", "--flag"])
    assert result.value == ["one", "two", 2]


async def test_lines_of_input(lua: Any) -> None:
    lines = iter(["one\n", "2 3\n", "\n", "last"])
    async with lua.session() as session:
        session.scope.stdin = lambda: next(lines, None)
        source = """
            local first = io.lines()()
            local a, b = io.read("n", "n")
            local rest = {}
            for line in io.stdin:lines("L") do rest[#rest + 1] = line end
            return {first, a, b, rest, io.read("a"), io.read() == nil, io.type(io.stdin), io.input() == io.stdin}"""
        assert (await session.run(source)).value == ["one", 2, 3, ["\n", "\n", "last"], "", True, "file", True]


async def test_the_folder_in_which_one_works_is_that_of_source_without_a_file(lua: Any) -> None:
    async with lua.session() as session:
        (lua.folder / "data" / "beside.lua").write_text("return {n = 3}")
        assert (await session.run("return require('data.beside').n")).value == 3
    (lua.folder / "secret.lua").write_text("return 1")
    async with lua.session() as session:
        with pytest.raises(ScriptError, match="secret"):
            await session.run("return require('secret')")


TABLES = {
    "JSON.parse('[1,null,3]')": [1, None, 3],
    "JSON.parse('[null]')": [None],
    "JSON.parse('[]')": [],
    'JSON.parse(\'{"a": [], "b": {}, "c": [[], [null, {"d": [ ]}]]}\')': {
        "a": [],
        "b": {},
        "c": [[], [None, {"d": []}]],
    },
    "JSON.parse('[\"\\\\u00e4\", null]')": ["ä", None],
    "{1, 2, x = 3}": {"1": 1, "2": 2, "x": 3},
    "{[1] = 1, [3] = 3}": {"1": 1, "3": 3},
    "{[0] = 'z', 'a'}": {"0": "z", "1": "a"},
    "{[1] = 'a', [1000000] = 'b'}": {"1": "a", "1000000": "b"},
    "{1, nil, 3}": {"1": 1, "3": 3},
    "ARGS": {"0": "script.lua", "1": "a", "n": "5"},
    "(function() local t = JSON.parse('[1,null]') t[2] = 2 t[3] = 3 return t end)()": [1, 2, 3],
    "(function() local t = JSON.parse('[]') t.x = 1 return t end)()": {"x": 1},
    "JSON.array {}": [],
    "{}": {},
}


@pytest.mark.parametrize("variant", ["lua54", "luajit"])
async def test_tables_cross_unharmed(lua: Any, variant: str) -> None:
    each = ", ".join(
        f"(function(t) return {{JSON.stringify(t), Test.echo(t), JSON.stringify(Test.echo(t))}} end)({table})"
        for table in TABLES
    )
    found = (await lua.result(f"return {{{each}}}", args=["a", "--n", "5"], variant=variant)).value
    import json

    for (table, right), (text, echoed, again) in zip(TABLES.items(), found, strict=True):
        assert (json.loads(text), echoed, json.loads(again)) == (right, right, right), table


async def test_what_would_be_lost_is_refused(lua: Any) -> None:
    assert "the same text" in (await lua.error("return JSON.stringify({[1] = 1, ['1'] = 2})")).message
    assert "not UTF-8" in (await lua.error("return JSON.stringify('\\xff')")).message


async def test_data_fits_into_a_worker_that_has_little_memory(lua: Any) -> None:
    """The C library's second arena takes 64 MB of what a process may have, which showed in one start of thirty."""
    status = Path("/proc/self/status")
    if not status.exists():
        pytest.skip("needs /proc")
    async with lua.session() as session:
        environment = Path(f"/proc/{session.scope.process_id}/environ").read_bytes()
    assert environment == b"MALLOC_ARENA_MAX=1\0"
