"""Hostile scripts end by their deadline, with a clean error, and take nothing with them."""

from __future__ import annotations

import sys
import time
from typing import Any

import pytest

from llmspell_core.errors import ScriptError

DEADLINE = 0.25

ENDLESS = {
    "loop": "while (true) {}",
    "loop in finally": "try { throw 1 } finally { while (true) {} }",
    "loop that catches": "while (true) { try { while (true) {} } catch {} }",
    "generator": "function* g() { while (true) yield 1 } for (const x of g());",
    "sort callback": "[3, 2, 1].sort(() => { while (true) {} })",
    "proxy trap": "new Proxy({}, {get() { while (true) {} }}).x",
    "getter": "({get x() { while (true) {} }}).x",
    "species": "class A extends Array { static get [Symbol.species]() { while (true) {} } } new A(1, 2).map(x => x)",
    "clock": "while (Date.now() > 0) {}",
    "awaiting loop": "while (true) await null",
    "catching async loop": "const f = async () => { while (true) {} }; while (true) { try { await f() } catch {} }",
    "promise bomb": "const f = () => { Promise.resolve().then(f); Promise.resolve().then(() => {}) }; f(); await sleep(1e6)",
    "thenable": "await {then() { while (true) {} }}",
    "regular expression": "/(a+)+$/.test('a'.repeat(40) + 'b')",
    "regular expression 2": "/a*a*a*a*b/g.test('a'.repeat(50000))",
    "sparse array": "const a = []; a.length = 4294967295; while (true) a.indexOf(1)",
    "string search": "while (true) 'x'.repeat(1e6).indexOf('x'.repeat(5e5) + 'y')",
    "thrown toString": "throw {toString() { while (true) {} }, get message() { while (true) {} }, toJSON() { while (true) {} }}",
    "error with a message that loops": "const e = new Error(); e.message = {toString() { while (true) {} }}; throw e",
    "thrown proxy": "throw new Proxy(new Error('x'), {get() { while (true) {} }, getOwnPropertyDescriptor() { while (true) {} }})",
    "result with toJSON": "return {toJSON() { while (true) {} }}",
    "global getter": "Object.defineProperty(globalThis, 'Test', {get() { while (true) {} }}); Test.echo(1)",
    "interval": "setInterval(() => {}, 1)",
    "host calls": "while (true) Test.echo(1)",
    "callbacks": "const f = () => Test.apply_now(f, [1]); f()",
    "posts": "while (true) Test.note('x')",
    "wrapper escape": "}); throw {toString() { while (true) {} }}; (async function() { while (true) {}",
    "atomics": "try { Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0) } catch {} while (true) {}",
    "finalizer": "new FinalizationRegistry(() => { while (true) {} }).register({}, 1); await sleep(1); while (true) {}",
    "stack trace": "Error.prepareStackTrace = () => { while (true) {} }; Test.fail_now('x'); while (true) {}",
    "printing": "while (true) console.log('x'.repeat(1000))",
}

BOMBS = {
    "string": "let s = 'x'; while (true) s += s",
    "repeat": "const a = []; while (true) a.push('a'.repeat(2 ** 24) + a.length)",
    "one huge string": "return 'a'.repeat(2 ** 29).length",
    "array": "const a = []; while (true) a.push(a.length, {})",
    "array buffers": "const a = []; while (true) a.push(new ArrayBuffer(1 << 22))",
    "big integers": "let x = 3n; while (true) x *= x",
    "huge product": "let x = 2n ** 4000000n; while (true) x *= 3n ** 4000000n",
    "recursion": "const f = () => 1 + f(); return f()",
    "recursion through callbacks": "const f = () => [1].map(f); f()",
    "json depth": "return JSON.parse('['.repeat(1e6))",
    "parser depth": "return eval('('.repeat(1e6))",
    "regex depth": "return new RegExp('('.repeat(1e6))",
    "json of many": "const a = Array(2e6).fill(0); while (true) JSON.stringify(a.concat(a))",
    "calls at once": "while (true) Test.later(1, 60)",
    "cyclic result": "const a = {}; a.a = a; return a",
    "deep result": "let a = []; for (let i = 0; i < 1e5; i++) a = [a]; return a",
}

HARMLESS = {
    "return Function('return typeof process.exit + typeof globalThis')()": "functionobject",
    "return (0, eval)('typeof $bridge + typeof bridge + typeof enter')": "undefinedundefinedundefined",
    "return [typeof std, typeof XMLHttpRequest, typeof Deno, typeof WebAssembly]": ["undefined"] * 4,
    "return Object.keys(process).join()": "argv,exit,stdin,stdout,stderr,nextTick,env",
    'return JSON.parse(\'{"__proto__": {"x": 1}}\').x': None,
    'Test.echo(JSON.parse(\'{"__proto__": {"x": 1}}\')); return ({}).x': None,
    "return await import('os').then(() => 'imported', () => 'refused')": "refused",
    "return await import('/etc/passwd').then(() => 'imported', () => 'refused')": "refused",
    "Object.prototype.toJSON = () => 'mine'; return Test.typeOf([1])": "list",
    "Array.prototype.toJSON = () => 'mine'; return Test.echo([{a: 1}])": [{"a": 1}],
    "Object.defineProperty(Array.prototype, 0, {set() {}}); return typeof Test": "object",
    "try { Test.echo(1n << 70n); return 'exact' } catch (e) { return 'refused' }": "exact",
    "return typeof Test.echo.constructor('return this')().require": "function",
    "const g = Test.echo; Test.echo = 5; delete Test.later; return g(1)": 1,
    "Error.stackTraceLimit = 0; try { Test.fail_now('x') } catch (e) { return e.message }": "x",
}


@pytest.mark.parametrize("name", ENDLESS)
async def test_what_never_ends_is_ended(js: Any, name: str) -> None:
    async with js.session(timeout=DEADLINE) as session:
        started = time.monotonic()
        with pytest.raises(ScriptError) as caught:
            await session.run(ENDLESS[name], name="attack.js")
        assert time.monotonic() - started < DEADLINE + 2
        assert caught.value.phase in {"deadline", "memory", "runtime", "crash", "syntax"}
        process = session._worker.process
    assert process.poll() is not None


@pytest.mark.parametrize("name", BOMBS)
async def test_what_eats_memory_or_stack_is_ended(js: Any, name: str) -> None:
    error = await js.error(BOMBS[name], timeout=3, memory_bytes=32 << 20)
    assert error.message
    assert "Traceback" not in str(error)


@pytest.mark.parametrize("source", HARMLESS)
async def test_what_is_harmless_stays_so(js: Any, source: str) -> None:
    assert await js.value(source) == HARMLESS[source]


async def test_the_high_profile_has_no_shared_memory_and_no_modules(js: Any) -> None:
    script = "return [typeof Atomics, typeof SharedArrayBuffer, typeof require]"
    assert await js.value(script, profile="high") == ["undefined"] * 3


async def test_an_attack_leaves_other_scripts_alone(js: Any) -> None:
    async with js.session() as other:
        await js.error("while (true) {}", timeout=0.1)
        assert (await other.run("return 1 + 1")).value == 2


async def test_calls_that_a_deadline_cuts_off_leave_nothing_behind(js: Any) -> None:
    for i in range(6):
        script = "for (;;) Test.later(1, 60).catch(() => {})"
        error = await js.error(script, timeout=0.15 + i * 0.02, memory_bytes=256 << 20)
        assert "waiting for Test.later (line 1)" in error.message


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux says whether a process waits")
async def test_a_deadline_tells_waiting_from_computing(js: Any) -> None:
    assert "it was waiting, but not for the host" in (await js.error("setTimeout(() => 0, 1e8)", timeout=0.4)).message
    assert "it was computing" in (await js.error("Test.echo(1); while (true);", timeout=0.4)).message


POLLUTED = {
    "frozen globals": "Object.freeze(globalThis); return [Test.echo(1), Test.echo(2)]",
    "names of the border": """
        Object.assign(Object.prototype, {$handle: "Counter", $fn: 1, $big: "5", h: 1, fields: {}, id: 1});
        return [Test.echo(1), Object.keys(Test.echo({x: [2]})).length + 1]""",
    "regular expressions": """
        RegExp.prototype.exec = () => null; RegExp.prototype.test = () => true;
        return [Test.echo(1), Number(Test.echo(2n ** 64n) / 2n ** 63n)]""",
    "stacks": """
        Error.prepareStackTrace = () => ({}); Error.captureStackTrace = null; Error.stackTraceLimit = -1;
        Object.defineProperty(Object.prototype, "stack", {set() { throw 1 }, get() { return "?" }});
        return [Test.echo(1), Test.echo(2)]""",
    "constructors": """
        const known = Test; for (const name of ["Array", "Object", "Error", "Promise", "JSON", "WeakMap"]) globalThis[name] = null;
        return [known.echo(1), await known.later(2)]""",
}


@pytest.mark.parametrize("script", POLLUTED.values(), ids=POLLUTED.keys())
async def test_a_script_that_spoils_what_the_engine_uses_is_still_answered(js: Any, script: str) -> None:
    assert await js.value(script) == [1, 2]


async def test_an_integer_that_the_host_does_not_read_is_an_error_of_the_script(js: Any) -> None:
    source = """
        const huge = 10n ** 5000n, said = [];
        for (const give of [() => Test.echo(huge), () => Test.echo([-huge]), () => Test.later({x: huge}, 0)]) {
          try { await give(); said.push("went through"); } catch (error) { said.push(error.message.includes("4,300 digits")); }
        }
        return [...said, Test.echo(10n ** 4299n) === 10n ** 4299n];"""
    assert await js.value(source) == [True, True, True, True]
    assert "4,300 digits" in (await js.error("return 10n ** 5000n")).message
    assert "4,300 digits" in (await js.error("await Test.apply(() => 10n ** 5000n, [1])")).message
