"""Errors say which file, which line, and what to do next."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from llmspell_core.errors import ResourceLimitError, ScriptError, ToolError


@pytest.mark.parametrize(
    ("source", "line", "message"),
    [
        ("let a = 1;\nlet b = ;\n", 2, "SyntaxError"),
        ("let a = 1;\nif (a) {\n", 2, "SyntaxError"),
        ("let a = 1;\nlet a = 2;", 2, "SyntaxError"),
        ("const s = `\n\n`;\nundefinedThing()", 4, "undefinedThing"),
        ("function f() {\n  null.x\n}\n\nf()", 2, "TypeError"),
        ("await Test.later(1)\nthrow new Error('after')", 2, "after"),
        ("const f = async () => {\n  await Test.later(1);\n  throw new RangeError('deep');\n};\nawait f()", 3, "deep"),
        ("\nJSON.parse('{')", 2, "SyntaxError"),
        ("\n\neval('1 +')", 3, "SyntaxError"),
        ("\nTest.fail_now('broke')", 2, "broke"),
        ("\n\nawait Test.fail('broke')", 3, "broke"),
        ("\nTest.fail('nobody listens')\nreturn 1", 2, "nobody listens"),
        ("async function main() {\n  await Test.later(1);\n  throw new Error('lost')\n}\nmain()", 3, "lost"),
        ("const f = () => {\n  Promise.reject(new Error('alone'))\n};\nsetTimeout(f, 1)", 2, "alone"),
        ("\nrequire('nowhere')", 2, "module 'nowhere' not found"),
    ],
)
async def test_an_error_names_its_line(js: Any, source: str, line: int, message: str) -> None:
    error = await js.error(source)
    assert message in error.message
    assert (error.file, error.line) == ("script.js", line)
    assert (error.source_line or "") == (source.split("\n")[line - 1]).strip() or error.source_line == source.split(
        "\n"
    )[line - 1]


MISTAKES = [
    ("print(1", 1, "unexpected end of input"),
    ("const x = [1,\n2\n\n", 2, "unexpected end of input"),
    ("function f() {\n  f()\n", 2, "unexpected end of input"),
    ("if (1) {\n  f()\n} else {\n// }\n", 4, "unexpected end of input"),
    ("print(1)\n}", 2, "Unexpected token '}'"),
    ("print(1)\n}\nprint(2)\n{}", 2, "Unexpected token '}'"),
    ("print(1)\n// }\nif (", 3, "unexpected end of input"),
    ("const s = `\n}", 1, "unexpected end of"),
]


@pytest.mark.parametrize(("source", "line", "message"), MISTAKES)
async def test_a_mistake_in_the_syntax_is_one_of_the_script_not_of_what_is_around_it(
    js: Any, source: str, line: int, message: str
) -> None:
    error = await js.error(source)
    assert (error.phase, error.line) == ("syntax", line)
    assert message in error.message
    assert error.source_line == source.split("\n")[line - 1]


async def test_a_mistake_in_a_module_names_the_module(js: Any) -> None:
    (js.folder / "unclosed.js").write_text("const a = 1;\nexports.f = () => {\n", encoding="utf-8")
    error = await js.error("\nrequire('./unclosed')")
    assert (Path(error.file).name, error.line) == ("unclosed.js", 2)
    assert "unexpected end of input" in error.message
    assert "script.js:2" in error.traceback


async def test_a_mistake_in_a_cell_is_placed_in_that_cell(cell: Any) -> None:
    await cell("1")
    with pytest.raises(ScriptError) as caught:
        await cell("const a = 1;\n\nlet b = ;\n")
    assert (caught.value.line, caught.value.source_line) == (3, "let b = ;")


async def test_syntax_and_runtime_errors_are_told_apart(js: Any) -> None:
    assert (await js.error("let = ;")).phase == "syntax"
    assert (await js.error("throw 1")).phase == "runtime"


async def test_an_error_in_a_module_names_the_module_and_its_line(js: Any) -> None:
    error = await js.error("\n\nrequire('broken')")
    assert (Path(error.file).name, error.line, error.source_line) == ("broken.js", 2, "throw new Error('no good');")
    assert "script.js:3" in error.traceback


async def test_the_traceback_shows_the_script_only(js: Any) -> None:
    inner = "function inner() {\n  const x = 1;\n  throw new Error('x')\n}\n"
    outer = "function outer() {\n  inner();\n  return 1\n}\nouter();"
    error = await js.error(inner + outer)
    lines = [text.strip() for text in error.traceback.splitlines()]
    assert lines == ["at inner (script.js:3)", "at outer (script.js:6)", "at script (script.js:9)"]


@pytest.mark.parametrize(
    ("thrown", "message"),
    [
        ("'a string'", "a string"),
        ("{code: 5}", "{ code: 5 } was thrown"),
        ("null", "threw null"),
        ("undefined", "undefined was thrown"),
        ("new Proxy({}, {})", "was thrown"),
    ],
)
async def test_anything_may_be_thrown(js: Any, thrown: str, message: str) -> None:
    assert message in (await js.error(f"throw {thrown}")).message


async def test_an_error_of_the_host_is_an_error_with_code_and_hint(js: Any) -> None:
    script = """
      try { await Test.fail('broke') }
      catch (e) { return [e instanceof Error, e.message, e.code, e.hint, e.tool_name, e.stack.includes('eval')] }"""
    assert await js.value(script) == [True, "broke", "tool", "Do it differently.", "hammer", False]


async def test_an_uncaught_error_of_the_host_keeps_its_hint_and_its_cause(js: Any) -> None:
    error = await js.error("await Test.fail('broke')")
    assert error.hint == "Do it differently."
    assert isinstance(error.__cause__, ToolError)


@pytest.mark.parametrize(
    "heard",
    [
        "Test.fail('x').catch(() => {})",
        "const p = Promise.reject(1); await sleep(2); try { await p } catch {}",
        "await Promise.allSettled([Test.fail('x'), Promise.reject(1)])",
        "const all = Array.from({length: 3000}, () => Promise.reject(new Error('x'))); await Promise.allSettled(all)",
        "(async () => { throw 1 })().then(() => 0).catch(() => 0)",
    ],
)
async def test_a_failure_that_is_heard_is_no_error(js: Any, heard: str) -> None:
    assert await js.value(f"{heard}; await sleep(1); return 'fine'") == "fine"


async def test_a_promise_that_nothing_resolves_is_an_error(js: Any) -> None:
    assert "never settles" in (await js.error("await new Promise(() => {})")).message


async def test_running_out_of_memory_is_an_error(js: Any) -> None:
    error = await js.error("const a = []; for (;;) a.push('x'.repeat(100000) + a.length)", memory_bytes=16 << 20)
    assert error.phase == "memory"
    assert "memory" in error.message


async def test_endless_recursion_is_an_error_with_a_line(js: Any) -> None:
    error = await js.error("\nfunction f() {\n  return 1 + f()\n}\nf()")
    assert "stack" in error.message
    assert error.line in {2, 3}


async def test_the_deadline_tells_what_the_script_was_doing(js: Any) -> None:
    error = await js.error("await Test.later(1);\n\nawait Test.later(2, 60)", timeout=0.3)
    assert error.phase == "deadline"
    assert "Test.later (line 3)" in error.message


async def test_a_wrong_argument_is_named(js: Any) -> None:
    assert "'count' must be an integer" in (await js.error("for await (const x of Test.numbers('many'));")).message


async def test_binary_garbage_is_not_a_script(js: Any) -> None:
    error = await js.error(b"\x7fELF\xff\xfe\x00")
    assert "not a text file" in error.message


async def test_a_script_may_hold_nul_characters(js: Any) -> None:
    assert await js.value("return 'a\0b'.length") == 3


async def test_a_huge_script_is_refused(js: Any) -> None:
    with pytest.raises(ResourceLimitError, match="too large"):
        await js.result("x" * 20_000_001)


async def test_a_shebang_is_skipped(js: Any) -> None:
    error = await js.error("#!/usr/bin/env llmspell\nthrow new Error('line two')")
    assert error.line == 2


async def test_exit_ends_the_script_with_its_code(js: Any) -> None:
    result = await js.result("try { process.exit(3) } catch {} finally { console.log('not here') }")
    assert (result.exit_code, result.exited, result.output) == (3, True, "")
