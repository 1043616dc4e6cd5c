"""What scripts make the host hold: each of these took gigabytes, or as much as the script had time for.

The growth of this process is measured. Limits are made small, so that a test is quick and a leak still stands out.
"""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import threading
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path

import pytest

from llmspell_core import Runtime
from llmspell_core.errors import ScriptError
from llmspell_core.script.result import Limits
from llmspell_core.testing.scripted import say

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="/proc says how much memory a process has")
MakeRuntime = Callable[..., Awaitable[Runtime]]
MB = 1_000_000
HELD = 20 * MB
SPREAD = 100 * MB
"""What the host may take besides: copies of what crosses, and what its allocator does not give back at once."""


def resident(pid: int | str = "self") -> int:
    return int(Path(f"/proc/{pid}/statm").read_text("ascii").split()[1]) * os.sysconf("SC_PAGE_SIZE")


@contextmanager
def growth_below(most: int) -> Iterator[None]:
    started, peak, done = resident(), 0, threading.Event()

    def watch() -> None:
        nonlocal peak
        while not done.wait(0.005):
            peak = max(peak, resident())

    thread = threading.Thread(target=watch)
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join()
    assert peak - started < most, f"{(peak - started) // MB} MB"


@pytest.fixture
async def small(make_runtime: MakeRuntime, monkeypatch: pytest.MonkeyPatch) -> Runtime:
    """A runtime whose scripts may make it hold 20 MB, and that has run a script before."""
    monkeypatch.setattr("llmspell_core.script.result.Limits", partial(Limits, held_bytes=HELD))
    monkeypatch.setattr("llmspell_core.context.SHARED_BYTES", HELD)
    runtime = await make_runtime({"runtime": {"security": {"max_memory_bytes": 300 * MB}}}, replies=[say("yes")] * 50)
    for language in ("lua", "javascript"):
        await runtime.run_script("return 1", engine=language)
    return runtime


TEXT = "local d = ('x'):rep(1000000) "
LISTS = "local d = {} for i = 1, 20000 do d[i] = JSON.array() end "
AGENT = "local a = Agent.builder():name('a'):model('scripted/test'):max_conversation_length(1000):build() "
HELD_TOO_MUCH = {
    "contexts": (LISTS + "for i = 1, 500 do Agent.create_context({data = {d = d}}) end", "too much in its host"),
    "contexts' data": (
        LISTS + "local c = Agent.create_context({}) for i = 1, 500 do Agent.update_context(c, 'k' .. i, d) end",
        "too much in its host",
    ),
    "conversations": (AGENT + TEXT + "for i = 1, 500 do a:add_message('user', d .. i) end", "too much in its host"),
    "prompts": (AGENT + TEXT + "for i = 1, 49 do a:execute({text = d .. i}) end", "too much in its host"),
    "errors of agents": (
        TEXT + "for i = 1, 500 do Agent.builder():name('a' .. i):model('scripted/test'):build():set_error(d .. i) end",
        "too much in its host",
    ),
    "workflows": (
        LISTS
        + "for i = 1, 500 do Workflow.register('sequential', "
        + "{name = 'w' .. i, steps = {{name = 's', tool = 'calculator', params = {x = d}}}}) end",
        "too much in its host",
    ),
    "steps": (
        TEXT
        + "local w = Workflow.sequential({name = 'w', steps = {{name = 's', tool = 'calculator', params = {}}}}) "
        + "for i = 1, 500 do w:add_step({name = 's' .. i, tool = 'calculator', params = {x = d .. i}}) end",
        "too much in its host",
    ),
    "results of a loop": (
        TEXT
        + "local w = Workflow.loop({name = 'w', iterator = {range = {start = 0, ['end'] = 500, step = 1}}, "
        + "body = {{name = 'a', type = 'custom', execute = function() return d end}}}) "
        + "local ok, e = pcall(w.execute, w, {}) error(e)",
        "too much in its host",
    ),
    "shared memory": (
        LISTS + "for i = 1, 500 do Agent.set_shared_memory('global', 'k' .. i, d) end",
        "too much in its shared memory",
    ),
    "state of empty lists": (LISTS + "for i = 1, 500 do State.set('k' .. i, d) end", "no room in the state"),
}


@pytest.mark.parametrize("name", HELD_TOO_MUCH)
async def test_what_a_script_leaves_in_the_host_is_weighed_in_memory(small: Runtime, name: str) -> None:
    source, said = HELD_TOO_MUCH[name]
    with growth_below(HELD + SPREAD), pytest.raises(ScriptError) as caught:
        await small.run_script(source, engine="lua", timeout=60)
    assert said in caught.value.message
    assert (await small.run_script("return 1", engine="lua")).value == 1


TEXT_JS = "const d = 'x'.repeat(1000000); "
LISTS_JS = "const d = Array.from({length: 20000}, () => []); "
AGENT_JS = "const a = await Agent.builder().name('a').model('scripted/test').max_conversation_length(1000).build(); "
TIMES_JS = "for (let i = 0; i < 500; i++) "
HELD_IN_JAVASCRIPT = {
    "conversations": (AGENT_JS + TEXT_JS + TIMES_JS + "a.add_message('user', d + i);", "too much in its host"),
    "workflows": (
        LISTS_JS
        + TIMES_JS
        + "Workflow.register('sequential', {name: 'w' + i, steps: [{name: 's', tool: 'calculator', params: {x: d}}]});",
        "too much in its host",
    ),
    "contexts": (LISTS_JS + TIMES_JS + "Agent.create_context({data: {d}});", "too much in its host"),
    "open calls": (
        TEXT_JS
        + "const all = []; "
        + TIMES_JS.replace("500", "60")
        + "all.push(Tool.execute('calculator', {expression: d + i})); await Promise.all(all);",
        "too much in its host",
    ),
    "state of empty lists": (LISTS_JS + TIMES_JS + "await State.set('k' + i, d);", "no room in the state"),
}


@pytest.mark.parametrize("name", HELD_IN_JAVASCRIPT)
async def test_what_a_javascript_script_leaves_in_the_host_is_weighed_alike(small: Runtime, name: str) -> None:
    small.hooks.register("BeforeToolExecution", lambda _: asyncio.sleep(0.7), timeout=5)
    source, said = HELD_IN_JAVASCRIPT[name]
    with growth_below(HELD + SPREAD), pytest.raises(ScriptError) as caught:
        await small.run_script(source, engine="javascript", timeout=60)
    assert said in caught.value.message


async def test_the_error_can_be_caught_and_the_script_goes_on(small: Runtime) -> None:
    lua = (
        LISTS
        + "for i = 1, 500 do local ok, e = pcall(Agent.create_context, {data = {d = d}}) if not ok then return tostring(e) end end"
    )
    said = (await small.run_script(lua, engine="lua", timeout=60)).value
    assert "too much in its host" in said
    script = (
        "const d = Array.from({length: 20000}, () => []); "
        "try { for (let i = 0; i < 500; i++) Agent.create_context({data: {d}}); } catch (e) { return e.message; }"
    )
    assert "too much in its host" in (await small.run_script(script, engine="javascript", timeout=60)).value


EXPANSIONS = {
    "lua": (
        TEXT
        + "local w = Workflow.sequential({name = 'w', steps = {{name = 'a', tool = 'text-manipulator', "
        + "params = {operation = 'uppercase', input = ('{{x}}'):rep(5000)}}}}) "
        + "local ok, e = pcall(w.execute, w, {x = d}) return tostring(e)"
    ),
    "javascript": (
        "const d = 'x'.repeat(1000000); "
        "const w = Workflow.sequential({name: 'w', steps: [{name: 'a', tool: 'text-manipulator', "
        "params: {operation: 'uppercase', input: '{{x}}'.repeat(5000)}}]}); "
        "try { await w.execute({x: d}); } catch (e) { return String(e.message); }"
    ),
}


@pytest.mark.parametrize("language", EXPANSIONS)
async def test_placeholders_do_not_become_five_gigabytes(small: Runtime, language: str) -> None:
    with growth_below(SPREAD):
        said = (await small.run_script(EXPANSIONS[language], engine=language, timeout=30)).value
    assert "the placeholders of one step's input become too large" in said


MULTIPLIED = {
    "lists named many times": (
        LISTS + "local l = {} for i = 1, 1000 do l[i] = '{{x}}' end "
        "local w = Workflow.sequential({name = 'w', steps = {{name = 'a', tool = 'json-processor', params = {input = l}}}}) "
        "local ok, e = pcall(w.execute, w, {x = d}) return tostring(e)"
    ),
    "outputs in a prompt": (
        "local d, steps = ('x'):rep(30000000), {} "
        "for i = 1, 6 do steps[i] = {name = 's' .. i, type = 'custom', execute = function() return d end} end "
        "steps[7] = {name = 'a', type = 'agent', agent = Agent.builder():name('a'):model('scripted/test'):build()} "
        "local w = Workflow.sequential({name = 'w', steps = steps}) "
        "local ok, e = pcall(w.execute, w, {}) return tostring(e)"
    ),
    "a prompt's template": (
        TEXT + "Agent.builder():name('a'):model('scripted/test'):build() "
        "Agent.wrap_as_tool('a', {tool_name = 't', input_template = ('{x}'):rep(5000)}) "
        "local ok, e = pcall(Tool.execute, 't', {x = d}) return tostring(e)"
    ),
    "a JSON text of empty lists": (
        "local t = '[' .. ('[],'):rep(4000000) .. '[]]' "
        "local ok, e = pcall(Tool.execute, 'json-processor', {input = t, query = '.'}) return tostring(e)"
    ),
}


@pytest.mark.parametrize("name", MULTIPLIED)
async def test_little_that_becomes_much_is_refused(small: Runtime, name: str) -> None:
    with growth_below(HELD + SPREAD):
        said = (await small.run_script(MULTIPLIED[name], engine="lua", timeout=60)).value
    assert "too large" in said or "too many values" in said or "too much in its host" in said


async def test_a_jq_program_cannot_answer_with_more_than_the_host_should_read(small: Runtime) -> None:
    pytest.importorskip("jq")
    source = (
        "local ok, e = pcall(Tool.execute, 'json-processor', {input = {}, query = '[range(3000000)|[]]'}) "
        "return tostring(e)"
    )
    with growth_below(SPREAD):
        said = (await small.run_script(source, engine="lua", timeout=60)).value
    assert "what the query produces has too many values" in said


async def test_deep_values_are_not_blown_up_by_their_indentation(small: Runtime) -> None:
    source = (
        "local t = ('['):rep(40) .. ('1,'):rep(500000) .. '1' .. (']'):rep(40) "
        "local ok, e = pcall(Tool.execute, 'json-processor', {input = t, query = '.'}) return ok or tostring(e)"
    )
    with growth_below(2 * SPREAD):
        assert (await small.run_script(source, engine="lua", timeout=60)).value is True


@pytest.mark.parametrize("data", ["('x'):rep(600000)", "lists"])
async def test_many_subscriptions_of_one_script_hold_no_more_than_one_inbox(
    small: Runtime, data: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("llmspell_core.events.INBOX_BYTES", 10 * MB)
    source = (
        LISTS.replace("20000", "4000")
        + f"local d = {data.replace('lists', 'd')} "
        + "for i = 1, 50 do Event.subscribe('a' .. i) end "
        + "for round = 1, 3 do for i = 1, 50 do Event.publish('a' .. i, d) end end return Event.get_stats()"
    )
    with growth_below(50 * MB):
        stats = (await small.run_script(source, engine="lua", timeout=60)).value
    assert 5 <= stats["event_bus_stats"]["buffer_size"] <= 50


async def test_events_come_through_while_other_subscriptions_are_not_read(
    small: Runtime, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("llmspell_core.events.INBOX_BYTES", 4 * MB)
    source = (
        TEXT + "Event.subscribe('hog') local mine = Event.subscribe('mine') "
        "for i = 1, 20 do Event.publish('hog', d) end "
        "Event.publish('mine', 'hello') return Event.receive(mine, 1000).data"
    )
    assert (await small.run_script(source, engine="lua", timeout=30)).value == "hello"


async def test_what_is_given_back_can_be_used_again(small: Runtime) -> None:
    """Several times more than may be held at one time, one after the other."""
    source = (
        TEXT + "for i = 1, 20 do local s = Event.subscribe('s') for j = 1, 3 do Event.publish('s', d) end "
        "Event.unsubscribe(s) local h = Hook.register('ToolError', function() end) h:unregister() "
        "if i % 4 == 0 then Tool.execute('text-manipulator', {operation = 'reverse', input = d}) end end "
        "local w = Workflow.sequential({name = 'w', steps = {{name = 'a', type = 'custom', execute = function() return d end}}}) "
        "for i = 1, 60 do w:execute({}) end " + AGENT + "for i = 1, 60 do a:add_message('user', d) "
        "if i % 10 == 0 then a:clear_conversation() end end return 'all of it'"
    )
    assert (await small.run_script(source, engine="lua", timeout=60)).value == "all of it"


ANSWERS = {
    "lua": (
        "for i = 1, 100 do Tool.execute_async('text-manipulator', {operation = 'replace', input = ('ab'):rep(1000), "
        "options = {from = 'a', to = ('y'):rep(4000)}}) end local e = os.time() + 2 while os.time() < e do end return 1"
    ),
    "javascript": (
        "for (let i = 0; i < 100; i++) Tool.execute('text-manipulator', {operation: 'replace', input: 'ab'.repeat(1000), "
        "options: {from: 'a', to: 'y'.repeat(4000)}}).catch(() => 0); "
        "const e = Date.now() + 1500; while (Date.now() < e) {} return 1;"
    ),
}


@pytest.mark.parametrize("language", ANSWERS)
async def test_answers_that_nobody_takes_do_not_pile_up(small: Runtime, language: str) -> None:
    """400 MB of text, and the views of it. What comes to the script afterwards is its own matter."""
    small.hooks.register("BeforeToolExecution", lambda _: asyncio.sleep(0.7), timeout=5)  # all have been asked by then
    with growth_below(HELD + 4 * SPREAD), suppress(ScriptError):
        await small.run_script(ANSWERS[language], engine=language, timeout=60)


async def test_a_large_json_text_in_a_parameter_is_one_text(small: Runtime) -> None:
    source = (
        "local t = '[' .. ('[],'):rep(1500000) .. '[]]' "
        "return #Tool.execute('text-manipulator', {operation = 'trim', input = t}).result.result"
    )
    assert (await small.run_script(source, engine="lua", timeout=30)).value == 4_500_004


async def test_a_script_that_prints_much_prints_all_and_the_host_keeps_a_little(small: Runtime) -> None:
    printed = 0

    def sink(_: str, text: str) -> None:
        nonlocal printed
        printed += len(text)

    source = "const s = 'x'.repeat(999); for (let i = 0; i < 40000; i++) console.log(s);"
    with growth_below(60 * MB):
        result = await small.run_script(source, engine="javascript", timeout=60, output=sink)
    assert printed == 40 * MB
    assert len(result.output) < 1_100_000


FLOODS = {
    "lua": "local s = ('x'):rep(1000) while true do print(s) end",
    "js": "const s = 'x'.repeat(1000); while (true) console.log(s);",
}


@pytest.mark.parametrize("engine", FLOODS)
def test_a_reader_that_does_not_read_holds_up_the_script_and_not_the_memory(engine: str, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "llmspell_core", "exec", "--engine", engine, FLOODS[engine]]
    home = {**os.environ, "HOME": str(tmp_path)}
    run = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, env=home, cwd=tmp_path)
    try:
        assert run.stdout is not None
        assert run.stdout.read(1_000_000).startswith(b"xxx")
        before = resident(run.pid)
        time.sleep(1.5)  # the pipe is full, and the script prints on
        assert resident(run.pid) - before < 20 * MB
        assert run.stdout.read(5_000_000).count(b"\n") > 4_900  # nothing is lost
    finally:
        run.kill()
        run.wait()
        run.stdout.close()  # type: ignore[union-attr]
