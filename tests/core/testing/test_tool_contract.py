"""The tool contract passes a correct tool, and each broken one fails on the test that is meant to catch it."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any, Literal

import pytest
from pydantic import BaseModel, Field

from llmspell_core.context import ExecutionContext
from llmspell_core.errors import ToolError, ValidationError
from llmspell_core.testing import ToolContract
from llmspell_core.tool import SecurityRequirements, Tool, ToolResult


class Parameters(BaseModel):
    text: str = Field(description="What to shout.")
    times: int = Field(1, ge=0, le=100, description="How often.")
    mood: Literal["loud", "louder"] = Field("loud", description="How loud.")


class Shout(Tool[Parameters]):
    name = "shout"
    description = "Repeats a text in capitals."
    parameters = Parameters
    example = {"text": "hello", "times": 2}

    async def run(self, params: Parameters, ctx: ExecutionContext) -> Any:
        await asyncio.sleep(0)
        return {"shouted": params.text.upper() * params.times}


class ReadFile(Tool[Parameters]):
    name = "read-file"
    description = "Reads a file that stands in its folder."
    parameters = Parameters

    async def run(self, params: Parameters, ctx: ExecutionContext) -> Any:
        return {"content": await ctx.files.read_text(params.text), "unit": ctx.settings.get("unit")}


SUITE = [name for name in vars(ToolContract) if name.startswith("test_")]
RUNNING = [name for name in SUITE if name != "test_entry_point_has_the_name_of_the_tool"]


def contract(tool: type[Tool[Any]], **attributes: Any) -> ToolContract:
    cls = type("TestIt", (ToolContract,), {"tool_class": tool, "__module__": __name__, **attributes})
    return cls()


def run(name: str, tested: ToolContract, folder: Path) -> None:
    method = getattr(tested, name)
    method(folder) if "tmp_path" in method.__code__.co_varnames else method()


def failure(name: str, tested: ToolContract, folder: Path) -> str:
    with pytest.raises((AssertionError, pytest.fail.Exception)) as caught:
        run(name, tested, folder)
    return str(caught.value)


@pytest.fixture
def importable(monkeypatch, tmp_path_factory):
    """Writes a module, and optionally an entry point for it, where Python finds both."""

    def write(source: str, entry_point: str | None = None) -> None:
        folder = tmp_path_factory.mktemp("site")
        (folder / "shouting.py").write_text(source)
        if entry_point:
            metadata = folder / "shouting-1.0.dist-info"
            metadata.mkdir()
            (metadata / "METADATA").write_text("Metadata-Version: 2.1\nName: shouting\nVersion: 1.0\n")
            (metadata / "entry_points.txt").write_text(f"[llmspell.tools]\n{entry_point}\n")
        monkeypatch.syspath_prepend(folder)

    return write


@pytest.mark.parametrize("name", [name for name in RUNNING if name != "test_import_has_no_side_effects"])
def test_correct_tool_passes(name, tmp_path):
    run(name, contract(Shout), tmp_path)


def test_tool_with_files_and_settings_passes(tmp_path):
    def make_example(self: ToolContract, folder: Path) -> dict[str, Any]:
        (folder / "a.txt").write_text("hi")
        return {"text": "a.txt"}

    tested = contract(ReadFile, make_example=make_example, settings={"tools": {"read-file": {"unit": "celsius"}}})
    for name in ("test_example_succeeds_with_plain_data", "test_foreign_exceptions_do_not_escape"):
        run(name, tested, tmp_path)


def test_tool_that_writes_one_file_from_two_calls_passes(tmp_path):
    async def write(self: Any, params: Parameters, ctx: ExecutionContext) -> dict[str, Any]:
        await ctx.files.write_text("out.txt", params.text)
        return {"size": (await ctx.files.stat("out.txt")).size}

    needs = SecurityRequirements(file_permissions=("write",))
    writer = type("Writer", (Shout,), {"run": write, "security_requirements": needs})
    for name in RUNNING:
        if name != "test_import_has_no_side_effects":
            run(name, contract(writer), tmp_path)


def test_every_docstring_says_what_to_do(tmp_path):
    assert len(SUITE) >= 10
    for name in (*SUITE, "test_contract_tests_are_not_overridden"):
        assert "If this fails, " in getattr(ToolContract, name).__doc__, name


# -- what a tool says about itself ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("attribute", "value", "words"),
    [
        ("name", "Shout_Tool", "not lower case with dashes"),
        ("description", "Shouts.", "one or two sentences"),
        ("category", "Loud things", "not one lower-case word"),
        ("security_level", 2, "not a SecurityLevel"),
        ("version", "one", "MAJOR.MINOR.PATCH"),
        ("aliases", ("shout",), "other names"),
        ("aliases", ("Shout It",), "are not names"),
    ],
)
def test_odd_self_description_is_caught(tmp_path, attribute, value, words):
    broken = type("Broken", (Shout,), {attribute: value})
    assert words in failure("test_name_description_category_and_level_are_sane", contract(broken), tmp_path)


def test_entry_point_is_compared_with_the_name(importable, tmp_path):
    class Placed(Shout):
        __module__ = "shouting"
        __qualname__ = "Placed"

    name = "test_entry_point_has_the_name_of_the_tool"
    assert "none" in failure(name, contract(Placed), tmp_path)
    importable("", "shout = shouting:Placed")
    run(name, contract(Placed), tmp_path)
    importable("", "yell = shouting:Placed")
    assert "yell" in failure(name, contract(Placed), tmp_path)


@pytest.mark.parametrize(
    ("source", "words"),
    [
        ("print('hello')", "print 'hello"),
        ("open('left.txt', 'w').close()", "write left.txt"),
        ("import os; os.environ['SHOUT'] = '1'", "os.putenv"),
        ("import os; os.chdir('/')", "os.chdir"),
        ("import subprocess, sys; subprocess.run([sys.executable, '-c', ''])", "subprocess.Popen"),
        ("import socket; socket.socket().bind(('127.0.0.1', 0))", "socket.bind"),
        (
            "import threading, time; threading.Thread(target=time.sleep, args=(1,), name='left', daemon=True).start()",
            "left",
        ),
        ("1 / 0", "ZeroDivisionError"),
    ],
)
def test_side_effect_of_importing_is_caught(importable, tmp_path, monkeypatch, source, words):
    class Placed(Shout):
        __module__ = "shouting"

    monkeypatch.chdir(tmp_path)
    importable(source)
    assert words in failure("test_import_has_no_side_effects", contract(Placed), tmp_path)


def test_import_without_side_effects_passes(importable, tmp_path):
    class Placed(Shout):
        __module__ = "shouting"

    importable("import json, threading\nlock = threading.Lock()\n")
    run("test_import_has_no_side_effects", contract(Placed), tmp_path)


def test_parameter_without_a_description_is_caught(tmp_path):
    class Bare(BaseModel):
        text: str

    broken = type("Broken", (Shout,), {"parameters": Bare})
    assert "text" in failure("test_schema_describes_every_parameter", contract(broken), tmp_path)


@pytest.mark.parametrize(
    ("example", "words"),
    [
        ({"txt": "x"}, "does not know ['txt']"),
        ({"times": 1}, "lacks ['text']"),
        ({"text": "x", "times": "2"}, "another type"),
    ],
)
def test_example_that_does_not_match_the_schema_is_caught(tmp_path, example, words):
    assert words in failure("test_example_matches_the_schema", contract(Shout, example=example), tmp_path)


def test_missing_example_says_what_to_set(tmp_path):
    broken = type("Broken", (Shout,), {"example": None})
    assert "make_example" in failure("test_example_succeeds_with_plain_data", contract(broken), tmp_path)


# -- what a tool does -------------------------------------------------------------------------------------------------


def with_run(function: Any) -> type[Tool[Any]]:
    return type("Broken", (Shout,), {"run": function})


def test_result_that_is_not_plain_data_is_caught(tmp_path):
    for result in ({"path": Path("x")}, [{"set": {1}}], {1: "one"}, ToolResult({"bytes": b"x"})):
        broken = with_run(lambda self, params, ctx, result=result: result)
        assert "not plain data" in failure("test_result_of_run_is_plain_data", contract(broken), tmp_path)


def test_number_that_json_does_not_know_is_caught(tmp_path):
    with pytest.raises(ToolError, match="not JSON compliant"):
        run("test_example_succeeds_with_plain_data", contract(with_run(lambda *_: float("nan"))), tmp_path)


def test_example_that_fails_is_caught(tmp_path):
    broken = with_run(lambda *_: ToolResult.failure("no voice"))
    assert "no voice" in failure("test_example_succeeds_with_plain_data", contract(broken), tmp_path)


class Untyped(BaseModel):
    text: Any = Field(description="What to shout.", json_schema_extra={"type": "string"})


@pytest.mark.parametrize(
    ("raised", "words"),
    [
        (None, "the tool answers"),
        (ValidationError("no", field="somewhere"), "names the field 'somewhere'"),
        (RuntimeError("no"), "raises ToolError"),
    ],
)
def test_bad_input_that_is_not_named_is_caught(tmp_path, raised, words):
    def run_(self: Any, params: Untyped, ctx: ExecutionContext) -> str:
        if raised and not isinstance(params.text, str):
            raise raised
        return "ok"

    broken = type("Broken", (Shout,), {"parameters": Untyped, "run": run_, "example": {"text": "x"}})
    found = failure("test_bad_input_is_a_validation_error_that_names_the_field", contract(broken), tmp_path)
    assert "text=" in found
    assert words in found


def test_foreign_exception_is_caught(tmp_path):
    broken = with_run(lambda self, params, ctx: 1 // len(params.text))
    found = failure("test_foreign_exceptions_do_not_escape", contract(broken), tmp_path)
    assert "text=''" in found
    assert "ZeroDivisionError" in found


def test_state_that_appears_on_the_instance_is_caught(tmp_path):
    async def keep(self: Any, params: Parameters, ctx: ExecutionContext) -> str:
        self.last = params.text
        return "ok"

    found = failure("test_two_calls_at_once_do_not_share_state", contract(with_run(keep)), tmp_path)
    assert "last" in found


def test_state_that_leaks_between_calls_is_caught(tmp_path):
    shared: dict[str, str] = {}

    async def mix_up(self: Any, params: Parameters, ctx: ExecutionContext) -> str:
        shared["text"] = params.text
        await asyncio.sleep(0.001)
        return shared["text"]

    found = failure("test_two_calls_at_once_do_not_share_state", contract(with_run(mix_up)), tmp_path)
    assert "the result of another call" in found


async def leave_task(self: Any, params: Parameters, ctx: ExecutionContext) -> str:
    task = asyncio.ensure_future(asyncio.sleep(30))
    task.set_name("left")
    await asyncio.sleep(0.05)
    task.cancel()
    return "ok"


async def leave_process(self: Any, params: Parameters, ctx: ExecutionContext) -> str:
    child = subprocess.Popen([sys.executable, "-S", "-c", "import time; time.sleep(5)"])
    STARTED.append(child)
    await asyncio.sleep(0.05)
    child.kill()
    child.wait()
    return "ok"


async def leave_file(self: Any, params: Parameters, ctx: ExecutionContext) -> str:
    file = open(__file__)  # noqa: SIM115 - that is the fault
    STARTED.append(file)
    await asyncio.sleep(0.05)
    file.close()
    return "ok"


async def leave_thread(self: Any, params: Parameters, ctx: ExecutionContext) -> str:
    done = threading.Event()
    STARTED.append(done)
    threading.Thread(target=done.wait, args=(10,), name="left", daemon=True).start()
    await asyncio.sleep(0.05)
    done.set()
    return "ok"


async def break_down(self: Any, params: Parameters, ctx: ExecutionContext) -> Any:
    if STARTED:
        return ToolResult.failure("still busy")
    STARTED.append(None)
    await asyncio.sleep(0.05)
    STARTED.clear()
    return "ok"


STARTED: list[Any] = []


@pytest.fixture
def clean_up():
    STARTED.clear()
    yield
    for thing in STARTED:
        for name in ("kill", "wait", "close", "set"):
            if hasattr(thing, name) and not (name == "wait" and hasattr(thing, "set")):
                getattr(thing, name)()
    STARTED.clear()
    time.sleep(0.01)


@pytest.mark.parametrize(
    ("function", "words"),
    [
        (leave_task, "task left"),
        (leave_process, "process "),
        (leave_file, "file "),
        (leave_thread, "thread left"),
        (break_down, "still busy"),
    ],
)
def test_what_a_cancelled_call_leaves_behind_is_caught(tmp_path, clean_up, monkeypatch, function, words):
    if words in {"process ", "file "} and not Path("/proc/self/fd").exists():
        pytest.skip("needs /proc")
    monkeypatch.setattr("llmspell_core.testing.contract.PATIENCE", 0.1)
    found = failure("test_cancelled_call_leaves_nothing_behind", contract(with_run(function)), tmp_path)
    assert words in found


def test_tool_whose_library_is_missing_is_skipped(tmp_path):
    broken = type("Broken", (Shout,), {"requires": ("no_such_library_anywhere",)})
    with pytest.raises(pytest.skip.Exception, match="no_such_library_anywhere"):
        run("test_example_succeeds_with_plain_data", contract(broken), tmp_path)


# -- no quiet opt-out -------------------------------------------------------------------------------------------------


def override(self: Any, tmp_path: Path) -> None:
    pass


@pytest.mark.parametrize("mine", [override, None, pytest.mark.xfail(override), pytest.mark.skip(reason="no")(override)])
def test_contract_test_cannot_be_overridden_quietly(tmp_path, mine):
    tested = contract(Shout, test_foreign_exceptions_do_not_escape=mine)
    assert "test_foreign_exceptions_do_not_escape" in failure(
        "test_contract_tests_are_not_overridden", tested, tmp_path
    )


def test_contract_test_may_be_overridden_with_a_reason(tmp_path):
    def marked(self: Any, tmp_path: Path) -> None: ...

    tested = contract(
        Shout, test_foreign_exceptions_do_not_escape=pytest.mark.xfail(reason="the device resets")(marked)
    )
    run("test_contract_tests_are_not_overridden", tested, tmp_path)
