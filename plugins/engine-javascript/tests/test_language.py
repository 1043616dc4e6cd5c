# ruff: noqa: E501 - each case is one line
"""The language stays what it is: what the engine adds or replaces differs from the original in nothing that a script sees."""

from __future__ import annotations

from typing import Any

import pytest

# A script that returns true; each holds one thing that wrapping a language breaks easily.
SAME = {
    "JSON errors are those of the language": """
        const kinds = ["x", "", "[1,]", "{", undefined, "\\u0001"].map((text) => {
          try { JSON.parse(text) } catch (e) { return e instanceof SyntaxError && e.name === "SyntaxError" && e.message.startsWith("JSON parse error: ") }
        });
        return kinds.every(Boolean)""",
    "an error of a reviver is its own": """
        const own = new SyntaxError("mine");
        try { JSON.parse("[1]", () => { throw own }) } catch (e) { return e === own }""",
    "an object is asked for its text once": """
        let times = 0;
        try { JSON.parse({ toString() { times++; return "{" } }) } catch {}
        return times === 1""",
    "names and lengths": """
        return [JSON.parse.name, JSON.parse.length, JSON.stringify.name, JSON.stringify.length, queueMicrotask.name, queueMicrotask.length,
          setTimeout.name, clearInterval.name, require.name].join() === "parse,2,stringify,3,queueMicrotask,1,setTimeout,clearInterval,require"
          """,
    "attributes": """
        const of = (o, k) => { const d = Object.getOwnPropertyDescriptor(o, k); return d.writable && d.configurable && !d.enumerable };
        return of(JSON, "parse") && of(JSON, "stringify") && of(globalThis, "JSON") && of(globalThis, "queueMicrotask")""",
    "they are no constructors": """
        const fails = (f) => { try { new f("1") } catch (e) { return e instanceof TypeError } };
        return fails(JSON.parse) && fails(JSON.stringify) && fails(queueMicrotask) && !("prototype" in JSON.parse)""",
    "nothing of ours is enumerated": "for (const k in JSON) return k; return !Object.keys(globalThis).includes('process')",
    "queueMicrotask takes functions only": "try { queueMicrotask(5) } catch (e) { return e instanceof TypeError }",
    "microtasks come in their order": """
        const order = [];
        queueMicrotask(() => order.push(1)); Promise.resolve().then(() => order.push(2)); process.nextTick((n) => order.push(n), 3);
        await new Promise((resolve) => setTimeout(resolve, 1));
        return order.join() === "1,2,3\"""",
    "import fails in its promise, never at once": """
        const names = ["", Promise.resolve(), "./nope.js", "/etc/x", "a\\0b", "../up.js", 5];
        const kinds = await Promise.all(names.map((n) => import(n).then(() => "loaded", (e) => e instanceof TypeError || e instanceof ReferenceError)));
        return kinds.every((kind) => kind === true)""",
    "import of what has no text": """
        const p = import({ toString() { throw new RangeError("own") } });
        return await p.catch((e) => e instanceof RangeError)""",
}

# What a script does to the language before it goes on as usual. Each must leave the engine's own work alone.
REDEFINED = {
    "numbers on lists": """
        Object.defineProperty(Array.prototype, "0", { get() {}, configurable: true });
        Object.defineProperty(Array.prototype, "1", { set() { throw new Error("reached") }, configurable: true });""",
    "a frozen prototype": "Object.freeze(Array.prototype); Object.freeze(Object.prototype);",
    "iteration": "Array.prototype[Symbol.iterator] = () => { throw new Error('reached') };",
    "names of ours on all objects": """
        for (const k of ["h", "v", "result", "async", "post", "blocking", "vm", "handle", "options", "callbacks", "hint", "get", "set", "value",
          "enumerable", "module", "cell", "once", "signal"]) Object.prototype[k] = () => { throw new Error("reached") };""",
    "methods of lists": "for (const k of ['push', 'map', 'join', 'slice', 'filter', 'sort', 'indexOf', 'concat']) Array.prototype[k] = undefined;",
    "methods of text": """
        for (const k of ["replace", "split", "slice", "trim", "toLowerCase", "indexOf", "startsWith", "repeat", "match", "charCodeAt"])
          String.prototype[k] = () => { throw new Error("reached") };""",
    "patterns": """
        RegExp.prototype.exec = RegExp.prototype.test = () => { throw new Error("reached") };
        for (const k of [Symbol.replace, Symbol.split, Symbol.match]) RegExp.prototype[k] = () => { throw new Error("reached") };
        Object.defineProperty(RegExp.prototype, "global", { get() { throw new Error("reached") } });""",
    "promises": """
        Promise.prototype.then = Promise.prototype.catch = Promise.resolve = Promise.reject = () => { throw new Error("reached") };""",
    "the kind of promises": """
        Object.defineProperty(Promise, Symbol.species, { get() { throw new Error("reached") } });
        Promise.prototype.constructor = function () { throw new Error("reached") };""",
    "what the language has": """
        JSON.parse = JSON.stringify = Object.keys = Object.defineProperty = Reflect.apply = Object.create = () => { throw new Error("reached") };
        globalThis.eval = globalThis.Error = globalThis.TypeError = globalThis.Promise = undefined;""",
}

BEFORE = """
    const Promise2 = Promise, define = Object.defineProperty, found = [];
    const add = (value) => define(found, found.length, { __proto__: null, value, enumerable: true, writable: true, configurable: true });"""
AS_USUAL = """
    add(Test.echo({ list: [1, [2]], name: "x" }).list[1][0]);
    add(await Test.later(5));
    let failure; try { Test.fail_now("no") } catch (e) { failure = e }
    add(failure.message);
    add(await Test.apply((x) => x + 1, [1, 2]));
    add(Test.builder().system_prompt("p").tool("a").tool("b").build().tools.length);
    add(new URL("../x?q=1 2", "http://a.b/c/d/").href);
    add(new TextDecoder().decode(new TextEncoder().encode("é")));
    add(structuredClone({ a: [1] }).a[0]);
    const heard = await new Promise2((resolve) => { setTimeout(resolve, 1, "late") });
    add(heard);
    console.log("%s %d", "a\\nb", 1, [1, 2], { k: 1 }, failure);
    console.table([{ a: 1 }]);
    add(Debug.dumpCompact({ b: [1, "x"], a: null }));
    add(Debug.stackTrace().length > 10);
    return found;
"""
RIGHT = [2, 5, "no", [2, 3], 2, "http://a.b/c/x?q=1%202", "é", 1, "late", '{a = null, b = [1, "x"]}', True]


async def test_what_is_replaced_is_as_the_original(js: Any) -> None:
    each = ",\n".join(f"[{what!r}, async () => {{ {source} }}]" for what, source in SAME.items())
    wrong = (
        f"const wrong = []; for (const [what, f] of [{each}]) if ((await f()) !== true) wrong.push(what); return wrong"
    )
    assert await js.value(wrong) == []


async def test_a_script_has_no_arguments_of_ours(js: Any) -> None:
    assert await js.value("return arguments.length") == 0


@pytest.mark.parametrize("what", REDEFINED)
async def test_a_script_that_changes_the_language_harms_only_itself(js: Any, what: str) -> None:
    source = f"{BEFORE} {REDEFINED[what]}\n{AS_USUAL}"
    assert await js.value(source) == RIGHT
    printed = "".join(text for _, text in js.printed)
    assert printed.startswith("a\nb 1 [ 1, 2 ] { k: 1 }"), printed
    assert "reached" not in printed


async def test_long_texts_with_many_digits_and_escapes_cross(js: Any) -> None:
    source = """
        for (const text of ["9007199254740991 " + "x".repeat(7e5), "9007199254740993" + "\\n".repeat(7e5), '"9007199254740993"'.repeat(2e4)]) {
          if (Test.echo(text) !== text || Test.echo([text, 9007199254740993n])[1] !== 9007199254740993n) return text.length;
        }
        return true"""
    assert await js.value(source) is True


async def test_an_error_of_a_module_names_the_module_where_it_is_shown(js: Any) -> None:
    (js.folder / "thrower.js").write_text("\n\nexports.f = () => { throw new Error('inner') };", encoding="utf-8")
    shown = await js.output("const { f } = require('./thrower');\ntry { f() } catch (e) { console.log(e) }")
    assert "thrower.js:3" in shown
    assert "script.js:2" in shown
    assert "<input>" not in shown


async def test_the_environment_is_the_one_that_the_policy_shows(js: Any) -> None:
    source = "return [process.env.NODE_ENV === undefined, typeof process.env, Object.keys(process.env).length, (process.env.X = '1', process.env.X)]"
    assert await js.value(source, profile="high") == [True, "object", 0, "1"]


async def test_output_without_line_ends(js: Any) -> None:
    await js.value("process.stdout.write('a'); process.stdout.write(1); process.stderr.write('e')")
    assert "".join(text for stream, text in js.printed if stream == "stdout") == "a1"
    assert ("stderr", "e") in js.printed


async def test_a_cell_keeps_the_line_ends_that_end_its_statements(js: Any, cell: Any) -> None:
    cases = {
        "let f = function () { return 1 }\nf()": 1,
        "const a = 1\n\n// said\na + 1": 2,
        "let o = { x: 1 }\no.x": 1,
        "class K { static n = 4 }\nK.n": 4,
        "'use strict'\nlet undeclared = (function () { return this })()\nundeclared === undefined": True,
        '"use strict"; (() => { try { nowhere = 1 } catch (e) { return e.name } })()': "ReferenceError",
        "let g = () => 5\n;[g()].length": 1,
    }
    for source, value in cases.items():
        assert (await cell(source)).value == value, source
    assert (await cell("f() + o.x")).value == 2


async def test_a_cell_may_change_the_language_and_the_session_goes_on(js: Any, cell: Any) -> None:
    await cell(
        "for (const k of ['map', 'filter', 'join', 'slice', 'sort', 'push']) Array.prototype[k] = undefined; String.prototype.trim = undefined"
    )
    assert (await cell("let first = 1, second = 2\nfirst + second")).value == 3
    assert "first" in await cell.session.complete("fir")
