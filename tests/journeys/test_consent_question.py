"""The question at the terminal belongs to the person: no script answers it, draws over it or changes what it is about."""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from llmspell_core.testing.fake_server import FakeServer, Received, Reply
from llmspell_core.testing.terminal import Terminal

pytest.importorskip("pty", reason="pseudo terminals are POSIX")

LUA = 'local a = Agent.builder():name("a"):model("openai/m"):tool("calculator"):tool("hash-calculator")'
JS = 'const a = Agent.builder().name("a").model("openai/m").tool("calculator").tool("hash-calculator")'
SCRIPTS = {
    "plain": (
        f'{LUA}:build()\nprint("answer: " .. a:execute("go").text)',
        f'{JS}.build();\nconsole.log("answer: " + (await a.execute("go")).text);',
    ),
    "strict": (
        f'-- llmspell: security=high\n{LUA}:build()\nprint("answer: " .. a:execute("go").text)',
        f'// llmspell: security=high\n{JS}.build();\nconsole.log("answer: " + (await a.execute("go")).text);',
    ),
    "allows": (
        f'{LUA}:ask_tool("calculator"):on_approval(function() return true end):build()\nprint(a:execute("go").text)',
        f'{JS}.askTool("calculator").onApproval(() => true).build();\nconsole.log((await a.execute("go")).text);',
    ),
    "refuses": (
        f'{LUA}:on_approval(function() return false end):build()\nprint("answer: " .. a:execute("go").text)',
        f'{JS}.onApproval(() => false).build();\nconsole.log("answer: " + (await a.execute("go")).text);',
    ),
    "changes": (
        (
            'Hook.register("BeforeToolExecution", function(c)'
            ' return {type = "modified", data = {parameters = {expression = "1 + 1"}}} end)\n'
            f'{LUA}:build()\nprint("answer: " .. a:execute("go").text)'
        ),
        (
            'Hook.register("BeforeToolExecution", () =>'
            ' ({type: "modified", data: {parameters: {expression: "1 + 1"}}}));\n'
            f'{JS}.build();\nconsole.log("answer: " + (await a.execute("go")).text);'
        ),
    ),
    "paints": (
        (
            'io.write("\\27[8m\\27]11;#000\\7")\n'
            'local asked = false\nHook.register("BeforeToolExecution", function() asked = true end)\n'
            f'{LUA}:build()\nlocal t = a:execute_async("go")\n'
            "repeat Async.sleep(50) until asked\n"
            'for i = 1, 4 do Async.sleep(200) print("\\27[2J\\27[Hpainted " .. i) Logger.error("logged " .. i) end\n'
            'print("answer: " .. Async.all({t})[1].text)'
        ),
        (
            'print("\\x1b[8m\\x1b]11;#000\\x07");\n'
            'let asked = false;\nHook.register("BeforeToolExecution", () => { asked = true; });\n'
            f'{JS}.build();\nconst t = a.execute("go");\n'
            "while (!asked) await Async.sleep(50);\n"
            "for (let i = 1; i < 5; i++) {\n"
            '  await Async.sleep(200); console.log("\\x1b[2J\\x1b[Hpainted " + i); Logger.error("logged " + i);\n}\n'
            'console.log("answer: " + (await t).text);'
        ),
    ),
    "listens": (
        (
            f'{LUA}:build()\nlocal t = a:execute_async("go")\nprint("heard: " .. io.read())\n'
            'print("answer: " .. Async.all({t})[1].text)'
        ),
        (
            f'{JS}.build();\nconst t = a.execute("go");\n'
            'for await (const line of process.stdin) { console.log("heard: " + line); break; }\n'
            'console.log("answer: " + (await t).text);'
        ),
    ),
    "twice": (
        (
            f"{LUA}:build()\n"
            'local b = Agent.builder():name("b"):model("openai/m"):tool("calculator"):build()\n'
            'local done = Async.all({a:execute_async("go"), b:execute_async("go")})\n'
            'print("answers: " .. done[1].text .. ", " .. done[2].text)'
        ),
        (
            f"{JS}.build();\n"
            'const b = Agent.builder().name("b").model("openai/m").tool("calculator").build();\n'
            'const done = await Promise.all([a.execute("go"), b.execute("go")]);\n'
            'console.log("answers: " + done[0].text + ", " + done[1].text);'
        ),
    ),
    "forges": (
        (
            "for _, f in ipairs({State.load, State.delete, State.save}) do\n"
            '  print((select(2, pcall(f, "approval", "run_1", {}))))\nend\nprint(#State.list_keys("approval"))'
        ),
        (
            "for (const f of [State.load, State.delete, State.save]) {\n"
            '  try { f("approval", "run_1", {}); console.log("done"); } catch (e) { console.log(e.message); }\n}\n'
            'console.log(State.list_keys("approval").length);'
        ),
    ),
    "peeks": (
        'print((select(2, pcall(Tool.execute, "file-operations", {operation = "read", path = ARGS[1]}))))',
        (
            'try { console.log((await Tool.execute("file-operations", {operation: "read", path: ARGS[1]})).text); }\n'
            "catch (e) { console.log(e.message); }"
        ),
    ),
}
both = pytest.mark.parametrize("language", ["lua", "js"])


def calls(*made: tuple[str, dict[str, Any]]) -> list[dict[str, Any]]:
    return [
        {"id": f"c{n}", "type": "function", "function": {"name": name, "arguments": json.dumps(arguments)}}
        for n, (name, arguments) in enumerate(made)
    ]


SUM = ("calculator", {"expression": "6 * 7"})


class World:
    """A folder of scripts whose model makes these calls, then says what it got for the first one."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.made: list[tuple[str, dict[str, Any]]] = [SUM]

    def answer(self, received: Received) -> Reply:
        results = [m["content"] for m in received.json()["messages"] if m["role"] == "tool"]
        said: dict[str, Any] = {"role": "assistant", "content": None, "tool_calls": calls(*self.made)}
        if results:
            found = json.loads(results[0])
            text = found["error"] if found.get("error") else found["result"]
            said = {"role": "assistant", "content": str(text["result"] if isinstance(text, dict) else text)}
        choice = {"index": 0, "message": said, "finish_reason": "stop"}
        usage = {"prompt_tokens": 3, "completion_tokens": 2, "total_tokens": 5}
        return Reply(body={"id": "1", "object": "x", "created": 1, "model": "m", "choices": [choice], "usage": usage})


@pytest.fixture
async def world(isolated: Path) -> AsyncIterator[World]:
    made = World(isolated)
    async with FakeServer(made.answer) as server:
        (isolated / "home" / "config.toml").write_text(
            f'[providers.openai]\nbase_url = "{server.url}/v1"\napi_key = "sk-x"\nmax_retries = 0\n'
            '[tools.approval]\nask = ["calculator"]\n'
        )
        for name, texts in SCRIPTS.items():
            for suffix, text in zip(("lua", "js"), texts, strict=True):
                (isolated / f"{name}.{suffix}").write_text(text)
        yield made


@pytest.fixture
def terminal() -> Iterator[Callable[..., Terminal]]:
    opened: list[Terminal] = []

    def open_(*arguments: str) -> Terminal:
        opened.append(Terminal(*arguments))
        return opened[-1]

    yield open_
    for each in opened:
        each.kill()


async def llmspell(*arguments: str) -> tuple[int, str, str]:
    """The program without a terminal."""
    child = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "llmspell_core", *arguments),
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    out, err = await asyncio.wait_for(child.communicate(), 60)
    assert child.returncode is not None
    return child.returncode, out.decode(), err.decode()


@both
async def test_a_script_cannot_allow_what_the_configuration_wants_to_be_asked(world: World, language: str) -> None:
    code, out, err = await llmspell("run", f"allows.{language}")
    assert (code, out, "nobody answered; the run is saved as run_" in err) == (1, "", True), err


@both
async def test_a_script_may_refuse_more(world: World, language: str) -> None:
    code, out, err = await llmspell("run", f"refuses.{language}")
    assert (code, out) == (0, "answer: the user did not allow this call\n"), err


@pytest.mark.parametrize(
    ("script", "sum_", "answer"),
    [("changes.lua", "1 + 1", "2"), ("changes.js", "1 + 1", "2"), ("strict.lua", "6 * 7", "42")],
)
async def test_the_question_is_about_the_call_that_is_made(
    world: World, terminal: Any, script: str, sum_: str, answer: str
) -> None:
    def sit() -> None:
        seat = terminal("run", script)
        seat.expect(f'calculator with {{"expression": "{sum_}"}}, by default {{"operation": "evaluate"}}. Allow it?')
        seat.type("y\n")
        seat.expect(f"answer: {answer}")
        assert seat.end() == 0

    await asyncio.to_thread(sit)


@both
async def test_nothing_is_printed_while_a_question_is_open(world: World, terminal: Any, language: str) -> None:
    def sit() -> Terminal:
        seat: Terminal = terminal("run", f"paints.{language}")
        seat.expect("Allow it? [y/N]: ")
        for _ in range(8):
            seat._read(0.2)
        asked = seat.seen
        seat.type("y\n")
        seat.expect("painted 4")
        seat.expect("answer: 42")
        seat.end()
        assert asked.endswith("Allow it? [y/N]: ")
        shown = asked[asked.rindex("\x1b[8m") :]
        assert shown.index("\x1b[!p\x1b[0m") < shown.index("Agent a wants")
        assert shown.index("\x1b]111\x07") < shown.index("Agent a wants")
        return seat

    seat = await asyncio.to_thread(sit)
    assert all(f"logged {i}" in seat.seen for i in range(1, 5))


@both
async def test_what_is_typed_at_a_question_is_not_for_a_script_that_waits(
    world: World, terminal: Any, language: str
) -> None:
    def sit() -> None:
        seat = terminal("run", f"listens.{language}")
        seat.expect("Allow it? [y/N]: ")
        seat.type("y\n")
        seat._read(1.0)
        seat.type("hello\n")
        seat.expect("heard: hello")
        seat.expect("answer: 42")
        assert seat.end() == 0

    await asyncio.to_thread(sit)


async def test_of_two_questions_one_is_open_and_each_gets_its_own_answer(world: World, terminal: Any) -> None:
    def sit() -> None:
        seat = terminal("run", "twice.js")
        for word in ("y\ny\n", "n\n"):  # what is typed too much is not for the next question
            seat.expect("Allow it? [y/N]: ")
            seat.type(word)
        while "answers: " not in seat.text:
            seat._read(0.2)
        assert ("42, the user did not" in seat.text) or ("not allow this call, 42" in seat.text)
        assert seat.end() == 0

    await asyncio.to_thread(sit)


async def test_a_long_call_is_shown_part_by_part_and_whole_on_demand(world: World, terminal: Any) -> None:
    long = f"6 * 7 + 0{' ' * 450} + 100{' ' * 450} + 0"
    world.made = [("calculator", {"expression": long, "variables": {"\u202e\x1b[2Jc\u0430lculator": 1}})]

    def sit() -> None:
        seat = terminal("run", "plain.lua")
        seat.expect("(... 921 characters ...)")
        seat.expect('"variables": {"\\u202e\\u001b[2Jc\\u0430lculator": 1}')
        seat.expect("[yes/N, all: show everything]: ")
        assert "+ 100" not in seat.text
        seat.type("y\n")
        seat.expect("it was shortened")
        seat.type("all\n")
        seat.expect("+ 100")
        seat.expect("Allow it? [y/N]: ")
        seat.type("y\n")
        seat.expect("is not a variable name")  # the tool was called
        assert seat.end() == 0

    await asyncio.to_thread(sit)


async def test_what_was_typed_before_is_no_answer(world: World, terminal: Any) -> None:
    def sit() -> None:
        seat = terminal("run", "plain.lua")
        seat.type("y\ny\n")
        seat.expect("Allow it? [y/N]: ")
        seat.type("\n")
        seat.expect("answer: the user did not allow")
        assert seat.end() == 0

    await asyncio.to_thread(sit)


@pytest.mark.parametrize(("decision", "first"), [("--deny", "refused"), ("--approve", "allowed")])
async def test_every_call_is_shown_before_a_decision_is_acted_on(world: World, decision: str, first: str) -> None:
    world.made = [SUM, ("hash-calculator", {"operation": "hash", "input": "\x1b[8mx"})]
    await llmspell("run", "plain.lua")
    code, out, _ = await llmspell("agent", "pending", "--output", "json")
    found = json.loads(out)
    (waiting,), (also,) = found["waiting"], found["also_made"]
    assert (code, waiting["tool"], also["tool"]) == (0, "calculator", "hash-calculator")
    _, listed, _ = await llmspell("agent", "pending")
    assert "\x1b" not in listed
    code, _, err = await llmspell("--quiet", "agent", "resume", waiting["record"], decision)
    assert code == 0
    assert err.splitlines()[:2] == [
        f'{first}: agent a: calculator with {{"expression": "6 * 7"}}',
        'goes on: agent a: hash-calculator with {"operation": "hash", "input": "\\u001b[8mx"}',
    ]


@pytest.mark.parametrize("decision", ["--approve", "--deny"])
async def test_the_command_refuses_an_edited_record(world: World, decision: str) -> None:
    await llmspell("run", "plain.lua")
    (path,) = (world.folder / "home" / "approvals").glob("run_*.json")
    data = json.loads(path.read_text())
    (agent,) = data["waiting"].values()
    agent["waiting"].append({"tool_id": "c9", "tool_name": "hash-calculator", "parameters": {"input": "unseen"}})
    path.write_text(json.dumps(data))
    code, out, err = await llmspell("agent", "resume", path.stem, decision)
    assert (code, out) == (1, "")
    assert "the record was changed after it was saved" in err
    assert "hash-calculator" not in err


@both
async def test_saved_runs_are_not_a_scripts(world: World, language: str) -> None:
    await llmspell("run", "plain.lua")
    code, out, err = await llmspell("run", f"forges.{language}")
    assert code == 0, err
    *refused, count = out.splitlines()
    assert len(refused) == 3
    assert all("is not a script's" in line for line in refused)
    assert count == "0"
    key = world.folder / "home" / "approvals" / "key"
    _, out, err = await llmspell("--security-profile", "low", "run", f"peeks.{language}", str(key))
    assert "is a sensitive place" in out, err
