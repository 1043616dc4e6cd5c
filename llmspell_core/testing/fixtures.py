"""Pytest fixtures that come with llmspell; a plugin's tests use them without an import.

`runtime_config`   override it to give the other fixtures settings
`make_runtime`     async: entered runtimes, closed at the end of the test; `replies=[...]` scripts a model `scripted/any`
`runtime`          async: one of these
`run_script`       runs script text through the installed engine; returns the `ScriptResult`
`invoke_tool`      runs a tool; returns what a script would see
`invoke_cli`       runs the real command line in a process of its own
`trusted_settings` writes a `llmspell.toml` in the working directory, and trusts it
"""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from llmspell_core.runtime import Runtime
    from llmspell_core.script.result import ScriptResult

__all__ = [
    "CliResult",
    "invoke_cli",
    "invoke_tool",
    "isolated",
    "make_runtime",
    "run_script",
    "runtime",
    "runtime_config",
    "trusted_settings",
]

VENDOR = ("_API_KEY", "_API_TOKEN")


@dataclass(frozen=True, slots=True)
class CliResult:
    """What a command left behind."""

    exit_code: int
    stdout: str
    stderr: str

    def assert_success(self) -> CliResult:
        assert self.exit_code == 0, f"exit {self.exit_code}\n--- stdout\n{self.stdout}\n--- stderr\n{self.stderr}"
        return self


@pytest.fixture
def isolated(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """An empty home and working directory, and no keys: nothing of the developer's machine changes a test."""
    models = os.environ.get("LLMSPELL_HOME") or str(Path.home() / ".llmspell")
    for name in list(os.environ):
        if name.endswith(VENDOR) or (name.startswith("LLMSPELL_") and name not in KEPT):
            monkeypatch.delenv(name)
    home = tmp_path / "home"
    home.mkdir()
    monkeypatch.setenv("LLMSPELL_HOME", str(home))
    shared = Path(models) / "models"
    if shared.is_dir():  # pulled models are large; they are read, never changed
        (home / "models").symlink_to(shared, target_is_directory=True)
    monkeypatch.chdir(tmp_path)
    yield tmp_path


@pytest.fixture
def trusted_settings(isolated: Path) -> Callable[[str], Path]:
    """Writes `llmspell.toml` in the working directory and trusts it, as `llmspell trust` does."""
    from llmspell_core.config.trust import Trust

    def write(text: str) -> Path:
        path = isolated / "llmspell.toml"
        path.write_text(text, encoding="utf-8")
        Trust().add(isolated)
        return path

    return write


KEPT = ("LLMSPELL_CACHE_DIR", "LLMSPELL_TEST_MODEL")


@pytest.fixture
def runtime_config() -> dict[str, Any]:
    """Settings laid over the defaults. Override it in a test module."""
    return {}


def _new_runtime(config: dict[str, Any], replies: Iterable[Any] | None) -> Runtime:
    from llmspell_core.runtime import Runtime
    from llmspell_core.testing.scripted import ScriptedProvider

    made = Runtime(config)
    made.open()
    if replies is not None:
        made.registry.register("providers", "scripted", ScriptedProvider.serving(*replies))
    return made


MakeRuntime = Callable[..., Awaitable["Runtime"]]


@pytest.fixture
async def make_runtime(isolated: Path, runtime_config: dict[str, Any]) -> AsyncIterator[MakeRuntime]:
    """`await make_runtime(config, replies=[...])`: a runtime for this test."""
    made: list[Runtime] = []

    async def make(config: dict[str, Any] | None = None, *, replies: Iterable[Any] | None = None) -> Runtime:
        runtime = _new_runtime({**runtime_config, **(config or {})}, replies)
        made.append(runtime)
        await runtime.start()
        return runtime

    yield make
    for runtime in made:
        await runtime.close()


@pytest.fixture
async def runtime(make_runtime: MakeRuntime) -> Runtime:
    """One runtime."""
    return await make_runtime()


@pytest.fixture
def run_script(isolated: Path, runtime_config: dict[str, Any]) -> Callable[..., ScriptResult]:
    """`run_script(source, language="lua", args=[...], replies=[...], timeout=20)`."""

    def run(
        source: str,
        language: str = "lua",
        *,
        config: dict[str, Any] | None = None,
        replies: Iterable[Any] | None = None,
        timeout: float = 20,
        **options: Any,
    ) -> ScriptResult:
        async def main() -> ScriptResult:
            runtime = _new_runtime({**runtime_config, **(config or {})}, replies)
            try:
                await runtime.start()
                return await runtime.run_script(source, engine=language, timeout=timeout, **options)
            finally:
                await runtime.close()

        return asyncio.run(main())

    return run


@pytest.fixture
def invoke_tool(isolated: Path, runtime_config: dict[str, Any]) -> Callable[..., dict[str, Any]]:
    """`invoke_tool(name, parameters)`: what `Tool.execute` gives a script."""

    def invoke(name: str, parameters: dict[str, Any] | None = None, **config: Any) -> dict[str, Any]:
        async def main() -> dict[str, Any]:
            from llmspell_core.script.view import output_view

            runtime = _new_runtime({**runtime_config, **config}, None)
            try:
                await runtime.start()
                return output_view(await runtime.invoke_tool(name, parameters))
            finally:
                await runtime.close()

        return asyncio.run(main())

    return invoke


@pytest.fixture
def invoke_cli(isolated: Path) -> Callable[..., CliResult]:
    """`invoke_cli("tool", "list", input="", timeout=60)`: `python -m llmspell_core` in a process of its own."""

    def invoke(*args: str, input: str = "", timeout: float = 60, env: dict[str, str] | None = None) -> CliResult:
        command = [sys.executable, "-m", "llmspell_core", *args]
        done = subprocess.run(
            command,
            input=input,
            capture_output=True,
            text=True,
            timeout=timeout,
            check=False,
            env={**os.environ, **(env or {})},
        )
        return CliResult(done.returncode, done.stdout, done.stderr)

    return invoke
