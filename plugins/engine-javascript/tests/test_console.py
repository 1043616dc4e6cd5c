"""What console and print write."""

from __future__ import annotations

from typing import Any

import pytest


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        ("'a', 1, true, null, undefined", "a 1 true null undefined"),
        ("{a: 'x', b: [1, 'two', {c: null}]}", "{ a: 'x', b: [ 1, 'two', { c: null } ] }"),
        ("[]", "[]"),
        ("{}", "{}"),
        ("new Map([['k', {v: 1}]]), new Set([1])", "Map(1) { 'k' => { v: 1 } } Set(1) { 1 }"),
        ("-0, 10n, Symbol('s'), NaN", "-0 10n Symbol(s) NaN"),
        ("function named() {}, class A {}, () => 1", "[Function: named] [class A] [Function (anonymous)]"),
        ("new (class Point { x = 1 })()", "Point { x: 1 }"),
        ("Object.create(null, {x: {value: 1, enumerable: true}})", "[Object: null prototype] { x: 1 }"),
        ("{get x() { throw 1 }}", "{ x: [Getter] }"),
        ("/a+/g, new Date(0)", "/a+/g 1970-01-01T00:00:00.000Z"),
        ("{'a-b': \"it's\"}", "{ 'a-b': \"it's\" }"),
        ("'%s is %d, %j %%', 'x', 4.5, {a: 1}, 'rest'", 'x is 4.5, {"a":1} % rest'),
        ("Promise.resolve(1)", "Promise {}"),
        ("new Uint8Array([1, 2])", "Uint8Array [ 1, 2 ]"),
        ("'\\ud800'", "\ufffd"),
    ],
)
async def test_values_are_shown_like_nodes(js: Any, arguments: str, text: str) -> None:
    assert await js.output(f"console.log({arguments})") == text + "\n"


async def test_cycles_are_marked_and_depth_is_bounded(js: Any) -> None:
    shown = await js.output("const a = {n: {}}; a.n.up = a; console.log(a, [[[[[[[1]]]]]]])")
    assert shown == "{ n: { up: [Circular] } } [ [ [ [ [ [Array] ] ] ] ] ]\n"


async def test_long_values_are_cut(js: Any) -> None:
    shown = await js.output("console.log(Array(1000).fill(7)); console.log(Array(500).fill('x'.repeat(9000)))")
    assert "... 900 more items" in shown
    assert len(shown) < 500_000


async def test_wide_objects_take_several_lines(js: Any) -> None:
    shown = await js.output("console.log({first: 'x'.repeat(50), second: 'y'.repeat(50)})")
    assert shown == "{\n  first: '" + "x" * 50 + "',\n  second: '" + "y" * 50 + "'\n}\n"


async def test_an_error_is_shown_with_its_place(js: Any) -> None:
    shown = await js.output("\nconsole.log(new TypeError('bad'))")
    assert shown.startswith("TypeError: bad\n    at ")
    assert "script.js:2" in shown
    assert "<input>" not in shown


async def test_warnings_and_errors_go_to_stderr(js: Any) -> None:
    await js.result("console.warn('w'); console.error('e'); console.info('i'); print('p')")
    assert "".join(text for stream, text in js.printed if stream == "stderr") == "w\ne\n"
    assert "".join(text for stream, text in js.printed if stream == "stdout") == "i\np\n"


async def test_a_hostile_value_cannot_break_the_console(js: Any) -> None:
    script = """
      const bad = new Proxy({}, {ownKeys() { throw new Error('no') }});
      console.log(bad); console.log({toString: null, toJSON: null, constructor: null}); return 'alive'"""
    assert await js.value(script) == "alive"
