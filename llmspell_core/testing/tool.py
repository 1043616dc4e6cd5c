"""The contract of a tool, as tests to inherit.

    from llmspell_core.testing import ToolContract
    from llmspell_tool_weather.weather import Weather

    class TestWeatherContract(ToolContract):
        tool_class = Weather
        example = {"city": "Lisbon"}     # left out: the tool's own `example`

The tests run the tool in a runtime of their own, in an empty folder that is the only one its policy allows.
"""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Awaitable, Callable, Mapping
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any, ClassVar, TypeVar

import pytest

from llmspell_core.config import load_config
from llmspell_core.context import ExecutionContext
from llmspell_core.json_schema import TOOL_NAME
from llmspell_core.plugins.registry import Registry
from llmspell_core.returns import Returns
from llmspell_core.runtime import Runtime
from llmspell_core.testing.contract import Contract, Leftovers, cancelled_at
from llmspell_core.testing.importing import effects_of_importing
from llmspell_core.testing.probe import (
    AWKWARD,
    WRONG,
    bare_result,
    call,
    envelope_of,
    expect_validation_error,
    foreign_exception,
    is_a,
    not_plain,
    shape_of,
    steady_results,
)
from llmspell_core.tool import SecurityLevel, Tool

__all__ = ["ToolContract"]

T = TypeVar("T")

NAME = re.compile(r"[a-z0-9]+(-[a-z0-9]+)*")
CALLS_AT_ONCE = 8
CANCEL_AFTER = (0.0, 0.0001, 0.002, 0.02)


class ToolContract(Contract):
    """Attributes to set in the subclass.

    tool_class: the class under test.
    example: parameters that succeed; by default the tool's own `example`. For a tool that needs files, override
        `make_example(folder)`, write them there and refer to them by relative paths.
    settings: configuration for the runtime, e.g. `{"tools": {"weather": {"unit": "celsius"}}}`.
    """

    tool_class: ClassVar[type[Tool[Any]]]
    example: ClassVar[Mapping[str, Any] | None] = None
    settings: ClassVar[Mapping[str, Any]] = {}

    def make_example(self, folder: Path) -> Mapping[str, Any]:
        """Parameters of a call that succeeds; `folder` is the empty directory the call runs in."""
        found = self.example if self.example is not None else self.tool_class.example
        assert found is not None, f"set `example` in {type(self).__name__}, or override make_example(folder)"
        return found

    def make_settings(self, folder: Path) -> dict[str, Any]:
        """The runtime's configuration: `settings`, and `folder` as the only allowed path."""
        tools = dict(self.settings.get("tools", {}))
        files = {"allowed_paths": [str(folder)], **tools.get("file_operations", {})}
        return {**self.settings, "tools": {**tools, "file_operations": files}}

    # -- what it says about itself --------------------------------------------------------------------------------

    def test_name_description_category_and_level_are_sane(self) -> None:
        """People and models find a tool by what it says about itself.

        If this fails, fix the named class attribute: a lower-case name with dashes, one sentence as description, one
        word as category, a SecurityLevel, a version like 1.2.3, aliases as a tuple of other names.
        """
        tool = self.tool_class()
        assert NAME.fullmatch(tool.name), f"name {tool.name!r} is not lower case with dashes"
        assert TOOL_NAME.fullmatch(tool.name), f"name {tool.name!r} is longer than models' vendors take"
        assert 10 <= len(tool.description) <= 300, "description should be one or two sentences for a model"
        assert re.fullmatch(r"[a-z][a-z_-]*", tool.category), f"category {tool.category!r} is not one lower-case word"
        assert isinstance(tool.security_level, SecurityLevel), "security_level is not a SecurityLevel"
        assert re.fullmatch(r"\d+(\.\d+){0,2}", tool.version), f"version {tool.version!r} is not MAJOR.MINOR.PATCH"
        assert tool.name not in tool.aliases, "aliases are other names than the tool's own"
        assert all(NAME.fullmatch(alias) for alias in tool.aliases), f"aliases {tool.aliases!r} are not names"

    def test_entry_point_has_the_name_of_the_tool(self) -> None:
        """The entry point's name is what scripts and the command line use.

        If this fails, write `<name> = "module:Class"` under [project.entry-points."llmspell.tools"] in pyproject.toml,
        with the class attribute `name` as <name>, and install the plugin again (`pip install -e .`).
        """
        target = f"{self.tool_class.__module__}:{self.tool_class.__qualname__}"
        names = {point.name for point in entry_points(group="llmspell.tools") if point.value == target}
        assert names == {self.tool_class.name}, f"entry points of {target}: {sorted(names) or 'none'}"

    def test_import_has_no_side_effects(self) -> None:
        """Plugins are imported to look at them; that must not print, write, connect or start anything.

        If this fails, move what is named into `run`, or into a function that `run` calls.
        """
        done = effects_of_importing(self.tool_class.__module__)
        assert not done, f"importing {self.tool_class.__module__} does: {', '.join(done)}"

    def test_schema_describes_every_parameter(self) -> None:
        """A model knows a tool only by its schema.

        If this fails, give the named field of the parameters model a `Field(description=...)`, and use types that
        JSON knows.
        """
        schema = self.tool_class().schema
        assert json.loads(json.dumps(schema.to_json_schema())) == schema.to_json_schema()
        assert schema.to_json_schema().get("type") == "object"
        silent = [parameter.name for parameter in schema.parameters if not parameter.description]
        assert not silent, f"parameters without a description: {', '.join(silent)}"

    def test_example_matches_the_schema(self, tmp_path: Path) -> None:
        """The example shows what the schema promises.

        If this fails, use the names and types of the schema in `example`, and give all required parameters.
        """
        schema, example = self.tool_class().schema, self.make_example(tmp_path)
        known = {parameter.name: parameter for parameter in schema.parameters}
        assert set(example) <= set(known), f"the schema does not know {sorted(set(example) - set(known))}"
        missing = [name for name, parameter in known.items() if parameter.required and name not in example]
        assert not missing, f"the example lacks {missing}"
        wrong = [name for name, value in example.items() if not is_a(known[name].type, value)]
        assert not wrong, f"the example has another type than the schema for {wrong}"
        self.tool_class().validate_parameters(example)

    # -- what it does ---------------------------------------------------------------------------------------------

    def test_example_succeeds_with_plain_data(self, tmp_path: Path) -> None:
        """The result crosses into scripts, so it is plain data that survives JSON.

        If this fails, return only None, booleans, finite numbers, strings, lists and mappings with string keys, or a
        ToolResult that holds such; turn dates, paths and objects into strings first.
        """

        async def work(tool: Tool[Any], context: ExecutionContext) -> None:
            before = dict(self.make_example(tmp_path))
            output = await call(tool, self.make_example(tmp_path), context)
            envelope = envelope_of(output)
            assert envelope["success"] is True, f"the example failed: {envelope.get('error')}"
            assert isinstance(envelope["operation"], str) and envelope["operation"]
            assert isinstance(output.text, str)
            assert json.loads(json.dumps(envelope, allow_nan=False)) == envelope
            assert dict(self.make_example(tmp_path)) == before, "the tool changed the caller's parameters"

        self._with_tool(tmp_path, work)

    def test_what_it_returns_is_as_declared(self, tmp_path: Path) -> None:
        """The reference shows what `returns` says, and its examples.

        If this fails, correct the named field or example in `returns`, or what `run` gives back.
        """
        for number, (name, returns) in enumerate(self.tool_class.returns.items()):
            if returns.example is not None:
                folder = tmp_path / f"example-{number}"
                folder.mkdir()
                self._with_tool(folder, lambda tool, context, r=returns, n=name: _as_declared(tool, context, n, r))  # type: ignore[misc]

    def test_result_of_run_is_plain_data(self, tmp_path: Path) -> None:
        """The core makes strings of what it does not know; a reader would get `<object at 0x...>`.

        If this fails, convert the named value in `run`: `str(path)`, `moment.isoformat()`, `dataclasses.asdict(...)`.
        """

        async def work(tool: Tool[Any], context: ExecutionContext) -> None:
            result = await bare_result(tool, self.make_example(tmp_path), context)
            odd = not_plain(result, "what run returns")
            assert not odd, f"{odd} is not plain data"

        self._with_tool(tmp_path, work)

    def test_bad_input_is_a_validation_error_that_names_the_field(self, tmp_path: Path) -> None:
        """Whoever passes a wrong value learns which one it was.

        If this fails, type the named field in the parameters model; when a check needs more than types, raise
        `ValidationError(message, field="...", hint="...")`.
        """

        async def work(tool: Tool[Any], context: ExecutionContext) -> None:
            example = dict(self.make_example(tmp_path))
            for parameter in tool.schema.parameters:
                if parameter.type in WRONG:
                    wrong = WRONG[parameter.type]
                    await expect_validation_error(tool, {**example, parameter.name: wrong}, parameter.name, context)
                if parameter.required:
                    rest = {name: value for name, value in example.items() if name != parameter.name}
                    await expect_validation_error(tool, rest, parameter.name, context)

        self._with_tool(tmp_path, work)

    def test_foreign_exceptions_do_not_escape(self, tmp_path: Path) -> None:
        """Odd values lead to a result, or to an error of llmspell that says what to do.

        If this fails, catch the named exception in `run` and raise a ValidationError or ToolError with a hint instead.
        """

        async def work(tool: Tool[Any], context: ExecutionContext) -> None:
            example = dict(self.make_example(tmp_path))
            for parameter in tool.schema.parameters:
                for value in (*AWKWARD.get(parameter.type, ()), *(parameter.enum or ())):
                    escaped = await foreign_exception(tool, {**example, parameter.name: value}, context)
                    assert escaped is None, f"{parameter.name}={value!r:.60} lets {escaped} escape"

        self._with_tool(tmp_path, work)

    def test_two_calls_at_once_do_not_share_state(self, tmp_path: Path) -> None:
        """One instance serves all callers of a runtime, several at a time.

        If this fails, keep what belongs to a call in local variables of `run`, not on `self` or in the module.
        """

        async def work(tool: Tool[Any], context: ExecutionContext) -> None:
            example = self.make_example(tmp_path)
            names, alone = set(vars(tool)), await call(tool, example, context)
            expected = await steady_results(tool, example, context)
            calls = [example, *(parameters for parameters, _ in expected)] * CALLS_AT_ONCE
            outputs = await asyncio.gather(*(call(tool, parameters, context) for parameters in calls))
            added = set(vars(tool)) - names - {"_schema"}
            assert not added, f"calls leave {sorted(added)} on the instance"
            assert shape_of(envelope_of(outputs[0])) == shape_of(envelope_of(alone)), "calls at once disturb each other"
            for parameters, output in zip(calls, outputs, strict=True):
                wanted = [result for given, result in expected if given == parameters]
                got = envelope_of(output).get("result")
                assert not wanted or got == wanted[0], (
                    f"{parameters!r:.200} gets the result of another call: {got!r:.200}"
                )

        self._with_tool(tmp_path, work)

    def test_cancelled_call_leaves_nothing_behind(self, tmp_path: Path) -> None:
        """A deadline or an interrupt ends a call at any point, and the next call works as if nothing had been.

        If this fails, open what is named in a `with` block, end processes and tasks in `finally`, and start no task
        that the call does not await.
        """

        async def work(tool: Tool[Any], context: ExecutionContext) -> None:
            await call(tool, self.make_example(tmp_path), context)
            before = Leftovers()
            for moment in CANCEL_AFTER:
                await cancelled_at(moment, lambda: call(tool, self.make_example(tmp_path), context))
            left = await before.new_after_a_moment()
            assert not left, f"cancelled calls leave behind: {', '.join(left)}"
            again = envelope_of(await call(tool, self.make_example(tmp_path), context))
            assert again["success"] is True, f"after a cancelled call the example fails: {again.get('error')}"

        self._with_tool(tmp_path, work)

    def _with_tool(self, folder: Path, work: Callable[[Tool[Any], ExecutionContext], Awaitable[T]]) -> T:
        async def inside() -> T:
            # Nothing of the developer's own configuration counts.
            config = load_config(overrides=self.make_settings(folder), environ={"HOME": str(folder)}, cwd=folder)
            async with Runtime(config, registry=Registry(), cwd=folder) as runtime:
                return await work(self.tool_class(), runtime.context())

        missing = self.tool_class.missing_requirements()
        if missing:
            pytest.skip(f"{self.tool_class.name} needs {', '.join(missing)}")
        return asyncio.run(inside())


async def _as_declared(tool: Tool[Any], context: ExecutionContext, operation: str, returns: Returns) -> None:
    envelope = envelope_of(await call(tool, dict(returns.example or {}), context))
    assert envelope["success"] is True, f"the example of '{operation}' failed: {envelope.get('error')}"
    assert operation in {"", envelope["operation"]}, f"'{operation}' calls itself '{envelope['operation']}'"
    result = envelope.get("result")
    problems = returns.problems(result)
    assert not problems, f"result of '{operation}': {'; '.join(problems)}"
    shown = {k: result.get(k) for k in returns.shows} if isinstance(returns.shows, dict) else result  # type: ignore[union-attr]
    assert returns.shows is None or shown == returns.shows, f"the example of '{operation}' gives {shown!r:.300}"
