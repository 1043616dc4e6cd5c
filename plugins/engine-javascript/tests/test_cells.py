"""Interactive sessions: what a cell declares stays, and an interrupt keeps it."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from llmspell_core.errors import ScriptError


async def test_declarations_of_every_kind_outlive_their_cell(cell: Any) -> None:
    await cell("let n = 0; const K = {a: 1}, [p, {q: z = 4, ...rest}] = [1, {w: 2}]; var v = 5")
    await cell(
        "function inc() { return ++n }\nasync function later() { return await Test.later(n) }\nclass A { x = 1 }"
    )
    await cell("inc(); n = n + 10")
    assert (await cell("[n, inc(), await later(), K, p, z, rest, v, new A().x]")).value == [
        11, 12, 12, {"a": 1}, 1, 4, {"w": 2}, 5, 1,
    ]  # fmt: skip


async def test_a_name_may_be_declared_again(cell: Any) -> None:
    await cell("let x = 1; const f = () => x")
    assert (await cell("const x = 'new'; [x, f()]")).value == ["new", 1]


async def test_a_constant_stays_constant(cell: Any) -> None:
    await cell("const k = 1")
    with pytest.raises(ScriptError, match="read-only"):
        await cell("k = 2")


@pytest.mark.parametrize(
    ("source", "shown"),
    [
        ("1 + 1", "2"),
        ("let a = 5; a * 2", "10"),
        ("{ a: 1 }", "{ a: 1 }"),
        ("[1,\n2]\n.map(String)", "[ '1', '2' ]"),
        ("'a;b'", "'a;b'"),
        ("`x\n;y`", "'x\\n;y'"),
        ("let x = 1 // not; this", None),
        ("if (true) { 5 }", None),
        ("function f() {}", None),
        ("for (let i = 0; i < 3; i++) {}\n7", "7"),
        ("await Test.later('v')", "'v'"),
        ("Test.later('v')", "'v'"),
        ("undefined", None),
        ("() => 1", "[Function (anonymous)]"),
        ("1 /* ; */ + 1;;", "2"),
        ("", None),
    ],
)
async def test_the_value_of_a_cell_is_its_last_expression(cell: Any, source: str, shown: str | None) -> None:
    assert (await cell(source)).display == shown


async def test_the_last_value_is_kept(cell: Any) -> None:
    await cell("6 * 7")
    assert (await cell("_")).value == 42


async def test_an_error_names_the_line_in_the_cell(cell: Any) -> None:
    await cell("1\n2\n3")
    with pytest.raises(ScriptError) as caught:
        await cell("let kept = 9\n\nnothing()\n")
    assert (caught.value.line, caught.value.source_line) == (3, "nothing()")
    assert (await cell("kept")).value == 9


@pytest.mark.parametrize(
    "endless",
    [
        "for (;;) {}",
        "for (;;) { try { for (;;) {} } catch {} finally {} }",
        "for (;;) await null",
        "const again = () => Promise.resolve().then(again); again(); await new Promise(f => setTimeout(f, 1e9))",
        "await Test.later(1, 60)",
        "await sleep(60000)",
        "setInterval(() => {}, 1); await new Promise(() => {})",
        "Test.apply_now(() => { for (;;) {} }, [1])",
    ],
)
async def test_an_interrupt_ends_the_cell_and_keeps_the_variables(cell: Any, endless: str) -> None:
    await cell("let kept = 'still here'")
    asyncio.get_running_loop().call_later(0.1, cell.session.interrupt)
    with pytest.raises(ScriptError) as caught:
        await cell(f"let fresh = 1; {endless}")
    assert caught.value.phase == "interrupted"
    assert (await cell("[kept, fresh, await Test.later('goes on')]")).value == ["still here", 1, "goes on"]


async def test_completion_knows_globals_variables_and_members(cell: Any) -> None:
    await cell("const pancake = {size: 1, get secret() { throw new Error('must not run') }}")
    complete = cell.session.complete
    assert await complete("let x = Test.appl") == [
        f"Test.{name}" for name in ("apply", "applyNow", "applyTogether", "apply_now", "apply_together")
    ]
    assert await complete("panc") == ["pancake"]
    assert await complete("pancake.s") == ["pancake.secret", "pancake.size"]
    assert await complete("pancake.secret.x") == []
    assert await complete("nothing.at.all") == []
    assert "Test.Sub.answer" in await complete("Test.Sub.")


async def test_a_failure_that_nobody_hears_is_remarked(js: Any, cell: Any) -> None:
    assert (await cell("(async () => { throw new Error('lost') })(); 5")).value == 5
    assert "nobody listened" in "".join(text for stream, text in js.printed if stream == "stderr")
    assert "lost" in "".join(text for _, text in js.printed)


async def test_timers_and_promises_go_on_between_cells(js: Any, cell: Any) -> None:
    await cell("let n = 0; const every = setInterval(() => { if (++n === 3) clearInterval(every) }, 5)")
    await cell("const kept = Test.later(5, 0.02).then((v) => Test.note(v))")
    await asyncio.sleep(0.3)
    assert js.posted == [5]
    assert (await cell("n")).value == 3


async def test_a_timer_that_fails_between_cells_is_a_remark(js: Any, cell: Any) -> None:
    await cell("let kept = 1; setTimeout(() => { throw new Error('late trouble') }, 5)")
    await asyncio.sleep(0.2)
    assert any(stream == "stderr" and "late trouble" in text for stream, text in js.printed)
    assert (await cell("kept")).value == 1


async def test_timers_without_a_pause_do_not_keep_a_cell_waiting(cell: Any) -> None:
    await cell("let n = 0; for (let i = 0; i < 5; i++) setInterval(() => { n++; for (let j = 0; j < 1e5; j++); }, 1)")
    await asyncio.sleep(0.2)
    async with asyncio.timeout(3):
        assert (await cell("n")).value > 5


async def test_an_endless_timer_between_cells_can_be_interrupted(cell: Any) -> None:
    await cell("let kept = 'here'; setTimeout(() => { while (true); }, 1)")
    await asyncio.sleep(0.1)
    running = asyncio.ensure_future(cell("kept"))
    await asyncio.sleep(0.1)
    assert not running.done()
    cell.session.interrupt()
    assert (await running).value == "here"
