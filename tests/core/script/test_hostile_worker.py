"""A worker that is broken into can say what it likes: the host ends it with one clean error and goes on."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from llmspell_core.errors import ScriptError

VIOLATIONS = {
    "announces too much": "raw(b'\\xff\\xff\\xff\\xff')",
    "no JSON": "frame('nonsense')",
    "no UTF-8": "raw(b'\\x00\\x00\\x00\\x02\\xff\\xfe')",
    "two values": "frame('[1][2]')",
    "no array": "frame('{}')",
    "empty array": "frame('[]')",
    "unknown kind": "frame('[\"hello\",1]')",
    "kind is no string": "frame('[[],1]')",
    "call without arguments": "frame('[\"call\",1]')",
    "call with a wrong id": 'frame(\'["call","x","Test.echo",[1],0]\')',
    "call with wrong arguments": 'frame(\'["call",1,"Test.echo",{},0]\')',
    "op is no string": "frame('[\"call\",1,[],[],0]')",
    "the same open call twice": 'frame(\'["call",7,"Test.wait",[5],0]\') or frame(\'["call",7,"Test.wait",[5],0]\')',
    "unknown post": 'frame(\'["post","Test.nothing",[]]\')',
    "answer to nothing": 'frame(\'["ret",99,{"ok":true}]\')',
    "answer of the wrong shape": "frame('[\"ret\",[],{}]')",
    "end of another run": 'frame(\'["done",99,{"ok":true}]\')',
    "end of the wrong shape": "frame('[\"done\",1,[]]')",
    "output to nowhere": 'frame(\'["out","stdin","x"]\')',
    "output that is no text": 'frame(\'["out","stdout",5]\')',
    "nested deeply": "frame('[' * 100000)",
    "too many values": "frame('[\"post\",\"Test.note\",[' + '[],' * 2000000 + '[]]]')",
    "too many open calls": "[host.start('Test.wait', [5]) for _ in range(200)]",
    "asks and never reads": '[frame(\'["call",%d,"Test.echo",["%s"],0]\' % (i, \'x\' * 9999)) for i in range(10**6)]',
}


@pytest.mark.parametrize("script", VIOLATIONS.values(), ids=VIOLATIONS.keys())
async def test_a_violation_is_one_clean_error(worker: Any, script: str) -> None:
    error = await worker.error(f"{script}\ntime.sleep(30)", open_calls=100, timeout=1.5)
    assert error.phase == ("deadline" if "never reads" in script or "10**6" in script else "crash")
    assert "Traceback" not in error.message
    assert await worker.value("result = host.call('Test.echo', [5])") == 5


@settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.binary(min_size=1, max_size=200))
def test_random_bytes_never_hurt_the_host(worker: Any, data: bytes) -> None:
    async def main() -> None:
        with pytest.raises(ScriptError):
            await worker.result(f"raw({data!r}); os._exit(0)")

    asyncio.run(main())


async def test_a_flood_does_not_keep_the_host_from_its_other_work(worker: Any) -> None:
    async with worker.session(timeout=1.0) as session:
        flood = asyncio.ensure_future(session.run('while True: frame(\'["post","Test.note",[1]]\')'))
        turns = 0
        while not flood.done():
            await asyncio.sleep(0)
            turns += 1
        with pytest.raises(ScriptError):
            await flood
    assert len(worker.posted) > 100
    assert turns > len(worker.posted) / 200  # at most a bounded number of frames between two turns of the loop


async def test_an_unknown_operation_is_refused_and_nothing_else_happens(worker: Any) -> None:
    source = """
try:
    host.call("Test.nothing", [])
except Exception as error:
    result = str(error)"""
    assert "there is no 'Test.nothing' here" in await worker.value(source)


async def test_a_foreign_object_id_is_refused(worker: Any) -> None:
    source = """
result = []
for args in ([99, 1], ["x", 1], [], [{"id": 1}, 1], [True, 1]):
    try:
        host.call("Box#put", args)
    except Exception as error:
        result.append("this is not a Box" in str(error))"""
    assert await worker.value(source) == [True] * 5


@pytest.mark.parametrize(
    ("death", "words"),
    [
        ("os.abort()", "SIGABRT"),
        ("os._exit(7)", "ended with status 7"),
    ],
)
async def test_a_sudden_death_is_told(worker: Any, death: str, words: str) -> None:
    error = await worker.error(f"host.call('Test.echo', [1], 3)\n{death}")
    assert error.phase == "crash"
    assert words in error.message
    assert "its last host call was Test.echo (line 3)" in error.message


async def test_an_engine_that_cannot_start_says_why(worker: Any) -> None:
    async with worker.session(worker.engine({"broken": True})) as session:
        with pytest.raises(ScriptError, match="could not start: RuntimeError: this engine cannot start"):
            await session.run("result = 1")


async def test_errors_a_worker_reports_are_cut_and_checked(worker: Any) -> None:
    source = 'frame(\'["done",1,{"ok":false,"error":{"message":["x"],"line":"y","traceback":"%s"}}]\' % ("t" * 100000)); time.sleep(30)'
    error = await worker.error(source)
    assert (error.message, error.line, len(str(error.traceback))) == ("the script failed", None, 20_000)


HOST = """
import asyncio, sys
sys.path.insert(0, {tests!r})
from conftest import Bench
async def main():
    async with Bench().session() as session:
        print(session.scope.process_id, flush=True)
        await session.run("while True: pass")
asyncio.run(main())
"""


def test_a_worker_ends_when_its_host_is_killed() -> None:
    host = subprocess.Popen(
        [sys.executable, "-c", HOST.format(tests=str(Path(__file__).parent))], stdout=subprocess.PIPE, text=True
    )
    assert host.stdout is not None
    worker = int(host.stdout.readline())
    time.sleep(0.3)
    host.kill()
    host.wait()
    host.stdout.close()
    for _ in range(100):
        if not Path(f"/proc/{worker}").exists() and not _exists(worker):
            return
        time.sleep(0.05)
    pytest.fail("the worker lives on")


def _exists(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


@pytest.mark.skipif(sys.platform != "linux", reason="the filter is a Linux feature")
async def test_a_worker_cannot_start_a_single_thread(worker: Any) -> None:
    """Nor can anything else be done with the call that makes threads: 4,000 of them would fit into its memory."""
    source = """
import _thread
result = 0
try:
    while result < 4000:
        _thread.start_new_thread(time.sleep, (60,))
        result += 1
except RuntimeError:
    pass"""
    assert await worker.value(source) == 0


async def test_printed_nothing_takes_no_memory(worker: Any) -> None:
    async with worker.session() as session:
        await session.run('for _ in range(20000): frame(\'["out","stdout",""]\')')
        assert session._output.parts == []


async def test_a_result_and_an_error_are_data_whatever_a_worker_marks(worker: Any) -> None:
    value = await worker.value('result = {"a": fn(1), "b": {"$handle" + mark: "Box", "id": 1}}')
    assert [type(item) for item in value.values()] == [dict, dict]
    source = (
        "cause = {'type': 'ToolError', 'message': 'c', 'tool_name': fn(1)}\n"
        "frame(json.dumps(['done', 1, {'ok': False, 'error': {'message': 'm', 'cause': cause}}])); time.sleep(30)"
    )
    error = await worker.error(source)
    assert error.message == "m"
    assert json.dumps(error.to_dict())
