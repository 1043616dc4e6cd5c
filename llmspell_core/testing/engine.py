"""What every script engine must do, as tests to inherit.

    class TestLua(EngineContract):
        engine = "lua"
        snippets = Snippets(echo="return JSON.parse(ARGS.value)", ...)

The author writes the same few scripts in the engine's language; everything else is the kit's.
"""

from __future__ import annotations

import asyncio
import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import pytest
from pydantic import BaseModel

from llmspell_core.errors import ScriptError
from llmspell_core.testing.contract import Contract
from llmspell_core.tool import Tool

if TYPE_CHECKING:
    from llmspell_core.context import ExecutionContext
    from llmspell_core.script.result import ScriptResult

__all__ = ["EngineContract", "Snippets"]

DEADLINE = 1.0
VALUES: tuple[Any, ...] = (
    True,
    False,
    0,
    -1,
    2**31,
    2**53 - 1,
    0.5,
    -1e300,
    "",
    "text",
    "naïve ☃ \U0001f600",
    "a\x00b",
    'quote " backslash \\ newline \n',
    [1, 2, 3],
    {"a": 1, "b": {"c": [True, "x"]}},
    [{"deep": [[[{"er": 1}]]]}],
    "x" * 100_000,
)


@dataclass(frozen=True, slots=True)
class Snippets:
    """The scripts of one language.

    Args:
        echo: returns the JSON text in ARGS.value as a value.
        prints: prints "one" and "two" on two lines.
        fails_on_line_three: three lines, the last raises an error with the text "boom".
        syntax_error: does not parse.
        calls_tool: returns `result.echo` of the tool `probe` called with text "ping", from inside a nested function.
        catches_tool_error: calls the tool `probe` with text 42, catches the error, returns its message as a string.
        endless: never ends and never calls the host.
        endless_guarded: the same, inside whatever the language has to catch errors.
        hungry: allocates without end.
        sets_global: sets a global variable `leaked`.
        reads_global: returns whether `leaked` is there.
        hook: registers a function at BeforeToolExecution that cancels with "no", then returns the caught error's message
            of calling `probe`.
        escapes: scripts that try to reach files, processes or Python; each must raise or return nothing useful.
    """

    echo: str
    prints: str
    fails_on_line_three: str
    syntax_error: str
    calls_tool: str
    catches_tool_error: str
    endless: str
    endless_guarded: str
    hungry: str
    sets_global: str
    reads_global: str
    hook: str
    escapes: tuple[str, ...]


class _Text(BaseModel):
    text: str


class Probe(Tool[_Text]):
    """Gives back what it got."""

    name = "probe"
    description = "Gives back what it got."
    parameters = _Text

    async def run(self, params: _Text, ctx: ExecutionContext) -> dict[str, str]:
        return {"echo": params.text}


class EngineContract(Contract):
    """Inherit it, set `engine` and `snippets`."""

    engine: ClassVar[str]
    snippets: ClassVar[Snippets]

    @pytest.fixture(autouse=True)
    def _inside(self, isolated: Path) -> None:
        self.folder = isolated
        self.config: dict[str, Any] = {}

    def run(self, source: str, **options: Any) -> ScriptResult:
        """One script in a runtime of its own, with the tool `probe`."""

        async def main() -> ScriptResult:
            from llmspell_core.runtime import Runtime

            async with Runtime(self.config) as runtime:
                runtime.registry.register("tools", "probe", Probe())
                return await runtime.run_script(source, engine=self.engine, **{"timeout": 20, **options})

        return asyncio.run(main())

    def error(self, source: str, **options: Any) -> ScriptError:
        with pytest.raises(ScriptError) as caught:
            self.run(source, **options)
        return caught.value

    @pytest.mark.parametrize("value", VALUES, ids=lambda v: repr(v)[:20])
    def test_values_come_back_as_they_went(self, value: Any) -> None:
        """Plain data survives the way into the script and out again.

        If this fails, look at how your VM turns JSON into values of the language and back.
        """
        result = self.run(self.snippets.echo, args={"value": json.dumps(value)})
        assert result.value == value
        assert type(result.value) is type(value)

    def test_printed_text_arrives_in_order(self) -> None:
        """What a script prints is seen while it runs and kept in the result.

        If this fails, send printed text through `host.write`.
        """
        seen: list[str] = []
        result = self.run(self.snippets.prints, output=lambda _stream, text: seen.append(text))
        assert "".join(seen) == result.output == "one\ntwo\n"

    def test_an_error_tells_file_line_and_source(self) -> None:
        """A failing script is told where it failed.

        If this fails, give VMError `file`, `line` and `source_line`, or a message of the form file:line: text.
        """
        error = self.error(self.snippets.fails_on_line_three, name="story.x")
        assert "boom" in error.message
        assert (error.file, error.line) == ("story.x", 3)
        assert "boom" in str(error.source_line)

    def test_a_syntax_error_is_one(self) -> None:
        """A script that does not parse fails before anything runs.

        If this fails, raise VMError with phase "syntax".
        """
        error = self.error(self.snippets.syntax_error, name="story.x")
        assert error.phase == "syntax"
        assert error.file == "story.x"

    def test_tools_can_be_called_from_nested_functions(self) -> None:
        """Host calls work wherever the language lets a function be called.

        If this fails, look at how your prelude's functions reach `host.call`.
        """
        assert self.run(self.snippets.calls_tool).value == "ping"

    def test_an_error_of_the_host_can_be_caught(self) -> None:
        """What a tool complains about is an ordinary error of the language, with the tool's words.

        If this fails, turn HostError into the language's own error.
        """
        assert "'text'" in str(self.run(self.snippets.catches_tool_error).value)

    def test_a_script_function_can_be_called_back(self) -> None:
        """Hooks run in the script's VM while it waits for the host.

        If this fails, look at how `VM.invoke` finds the function of a callback id.
        """
        assert "no" in str(self.run(self.snippets.hook).value)

    @pytest.mark.parametrize("name", ["endless", "endless_guarded"])
    def test_a_script_that_never_ends_is_ended(self, name: str) -> None:
        """The deadline holds although the script never asks for anything.

        If this fails, the worker process was not killed: look at ScriptSession and the process tree.
        """
        error = self.error(getattr(self.snippets, name), timeout=DEADLINE)
        assert error.phase == "deadline"

    def test_a_script_that_wants_all_memory_gets_an_error(self) -> None:
        """The memory limit ends the script, not the machine.

        If this fails, hand `boot["memory"]` to your VM, or rely on the process's limit.
        """
        error = self.error(self.snippets.hungry)
        assert error.phase in {"memory", "runtime", "crash"}
        assert "memory" in (error.message + str(error.hint)).lower()

    def test_each_run_begins_with_fresh_globals(self) -> None:
        """Nothing of one script is left for the next.

        If this fails, a worker served two scripts.
        """
        self.run(self.snippets.sets_global)
        assert not self.run(self.snippets.reads_global).value

    def test_there_is_no_way_out(self) -> None:
        """A script reaches files, processes and Python only through the host.

        If this fails, take what the named script uses out of its environment.
        """
        self.config = {"tools": {"file_operations": {"allowed_paths": [str(self.folder / "allowed")]}}}
        secret = self.folder / "secret.txt"
        secret.write_text("the secret", encoding="utf-8")
        for source in self.snippets.escapes:
            try:
                result = self.run(source.replace("@secret@", str(secret)))
            except ScriptError:
                result = None
            assert result is None or "the secret" not in json.dumps(result.value), source

    def test_no_process_is_left_behind(self) -> None:
        """A worker ends with its script.

        If this fails, something keeps the worker's socket open.
        """
        before = _children()
        self.run(self.snippets.prints)
        assert _children() <= before


def _children() -> set[str]:
    listing = Path(f"/proc/{os.getpid()}/task/{os.getpid()}/children")
    return set(listing.read_text().split()) if listing.exists() else set()
