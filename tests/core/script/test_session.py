"""Sessions: runs, calls, callbacks, deadlines, pools."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable
from importlib.util import find_spec
from typing import Any

import pytest

from llmspell_core.errors import ComponentError, ScriptError, ToolError
from llmspell_core.script.args import script_args
from llmspell_core.script.process import WorkerPool, WorkerProcess

LOOPS = [asyncio.new_event_loop]
if find_spec("uvloop") is not None:
    from uvloop import new_event_loop

    LOOPS.append(new_event_loop)


async def test_a_run_returns_value_output_and_duration(worker: Any) -> None:
    result = await worker.result("host.write('stdout', 'a\\n'); host.write('stderr', 'b'); result = {'x': [1, None]}")
    assert result.value == {"x": [1, None]}
    assert result.output == "a\nb"
    assert worker.printed == [("stdout", "a\n"), ("stderr", "b")]
    assert result.duration > 0


async def test_output_keeps_its_place_among_calls(worker: Any) -> None:
    await worker.value(
        "for i in range(5): host.write('stdout', str(i)); host.post('Test.note', [i])\nhost.call('Test.echo', [1])"
    )
    assert "".join(text for _, text in worker.printed) == "01234"
    assert worker.posted == [0, 1, 2, 3, 4]


async def test_calls_started_together_run_together(worker: Any) -> None:
    source = "ids = [host.start('Test.wait', [0.2]) for _ in range(50)]\nresult = sum(host.wait(i) for i in ids)"
    result = await worker.result(source)
    assert result.value == pytest.approx(10)
    assert result.duration < 5


async def test_asking_much_before_reading_anything_does_not_block_both_sides(worker: Any) -> None:
    source = """
ids = [host.start("Test.echo", ["x" * 2000]) for _ in range(3000)]
host.post("Test.note", ["y" * 1000000])
result = sum(len(host.wait(i)) for i in ids)"""
    assert await worker.value(source, timeout=8) == 6_000_000


async def test_much_output_before_a_hang_is_not_lost(worker: Any) -> None:
    await worker.error("for i in range(3000): host.write('stdout', 'é' * 50 + '\\n')\nwhile True: pass", timeout=1.0)
    assert sum(len(text) for _, text in worker.printed) == 3000 * 51


async def test_a_callback_is_served_while_a_call_waits(worker: Any) -> None:
    source = "callbacks[1] = lambda x: host.call('Test.echo', [x + 1])\nresult = host.call('Test.call', [fn(1), 4])"
    assert await worker.value(source) == 5


async def test_callbacks_nest_and_more_of_them_wait(worker: Any) -> None:
    source = """
def down(n):
    return n if n == 0 else host.call("Test.call", [fn(1), n - 1])
callbacks[1] = down
result = down(10)"""
    assert await worker.value(source) == 0


async def test_an_error_of_a_handler_keeps_kind_and_hint(worker: Any) -> None:
    source = """
try:
    host.call("Test.fail", [])
except Exception as error:
    result = error.error"""
    value = await worker.value(source)
    assert (value["type"], value["message"], value["hint"], value["tool_name"]) == (
        "ToolError",
        "no nail",
        "Buy one.",
        "hammer",
    )


async def test_errors_survive_the_way_as_their_class(worker: Any) -> None:
    from llmspell_core.errors import error_from_dict

    value = await worker.value("try:\n    host.call('Test.fail', [])\nexcept Exception as e:\n    result = e.error")
    assert isinstance(error_from_dict(value), ToolError)


async def test_the_deadline_counts_waiting_and_says_what_for(worker: Any) -> None:
    error = await worker.error("host.call('Test.wait', [30], 12)", timeout=0.3)
    assert error.phase == "deadline"
    assert "did not end within 0.3 s: it was waiting for Test.wait (line 12)" in error.message
    assert error.hint


async def test_calls_under_way_are_cancelled_with_the_script(worker: Any) -> None:
    async with worker.session() as session:
        running = asyncio.ensure_future(session.run("host.call('Test.wait', [60])"))
        await asyncio.sleep(0.3)
        assert len(session._calls._tasks) == 1
        running.cancel()
        with pytest.raises(asyncio.CancelledError):
            await running
    assert session._calls._tasks == {}


async def test_a_script_session_runs_one_script(worker: Any) -> None:
    async with worker.session() as session:
        await session.run("result = 1")
        with pytest.raises(ComponentError, match="runs one script"):
            await session.run("result = 2")


async def test_a_closed_session_says_so(worker: Any) -> None:
    async with worker.session() as session:
        pass
    with pytest.raises(ComponentError, match="closed"):
        await session.run("result = 1")
    with pytest.raises(ScriptError, match="has ended"):
        await session.invoke(1, [])


async def test_what_a_scope_registered_is_closed_with_it(worker: Any) -> None:
    closed: list[str] = []

    async def late() -> None:
        closed.append("async")

    async with worker.session() as session:
        session.scope.on_close(lambda: closed.append("sync"))
        session.scope.on_close(late)
    assert closed == ["async", "sync"]


async def test_a_large_value_crosses_both_ways(worker: Any) -> None:
    assert await worker.value("result = len(host.call('Test.echo', ['x' * 5000000]))") == 5_000_000


async def test_values_json_does_not_know_become_data(worker: Any) -> None:
    import datetime
    import uuid
    from pathlib import Path

    async with worker.session(interactive=True) as session:
        one = uuid.UUID(int=1)
        given = {
            "nan": float("nan"),
            "path": Path("a"),
            "id": one,
            "day": datetime.date(2020, 1, 2),
            "set": {1},
            3: (1, 2),
        }
        session._calls._operations = {**session._calls._operations}
        text = session._calls.text(given)
        result = await session.run(f"result = json.loads({text!r})")
    assert result.value == {
        "nan": None, "path": "a", "id": str(one), "day": "2020-01-02", "set": [1], "3": [1, 2],
    }  # fmt: skip


async def test_a_worker_started_early_is_used(worker: Any) -> None:
    async with worker.session() as first:
        engine = first.engine
        early = WorkerProcess.spawn(engine)
        from llmspell_core.script.host import ScriptSession

        session = await ScriptSession.open(engine, worker.api, None, worker=early)
        assert (await session.run("result = os.getpid()")).value == early.process.pid
        await session.close()


async def test_a_pool_hands_out_waiting_workers_and_leaves_none(worker: Any) -> None:
    async with worker.session() as session:
        pool = WorkerPool(session.engine, 2)
        waiting = [w.process.pid for w in pool._idle]
        taken = pool.take()
        assert taken.process.pid == waiting[0]
        await asyncio.sleep(0)
        assert len(pool._idle) == 2
        taken.kill()
        await taken.ended()
        pids = [w.process.pid for w in pool._idle]
        await pool.close()
    for pid in pids:
        with pytest.raises(ProcessLookupError):
            os.kill(pid, 0)


@pytest.mark.parametrize(
    ("words", "positional", "named"),
    [
        (["in.txt", "--out", "o", "--flag"], ["in.txt"], {"out": "o", "flag": "true"}),
        (["--a", "--b", "1"], [], {"a": "true", "b": "1"}),
        (["--output-dir=x=y", "z"], ["z"], {"output-dir": "x=y"}),
        (["--empty=", "-v"], ["-v"], {"empty": ""}),
    ],
)
def test_arguments_are_split_as_the_specification_says(
    words: list[str], positional: list[str], named: dict[str, str]
) -> None:
    args = script_args("s.lua", words)
    assert (args["positional"], args["named"], args["script"], args["raw"]) == (positional, named, "s.lua", words)


@pytest.mark.parametrize("new_loop", LOOPS, ids=["asyncio", "uvloop"][: len(LOOPS)])
def test_a_worker_whose_start_is_cancelled_ends_at_any_moment(
    worker: Any, new_loop: Callable[[], asyncio.AbstractEventLoop]
) -> None:
    async def cancelled_after(turns: int) -> int:
        process = WorkerProcess.spawn(worker.engine())
        connecting = asyncio.ensure_future(process.connect(1_000_000))
        for _ in range(turns):
            await asyncio.sleep(0)
        connecting.cancel()
        await asyncio.wait([connecting])
        process.kill()
        return await asyncio.wait_for(process.ended(), 5)

    with asyncio.Runner(loop_factory=new_loop) as runner:
        assert [runner.run(cancelled_after(turns)) for turns in range(5)] == [-9] * 5
