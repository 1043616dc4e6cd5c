"""What the host knows about this engine."""

from __future__ import annotations

from typing import ClassVar

from llmspell_core.script.engine import ScriptEngine

__all__ = ["JavaScriptEngine"]


class JavaScriptEngine(ScriptEngine):
    """JavaScript on QuickJS: modern syntax, Promises, top-level await."""

    name: ClassVar[str] = "javascript"
    language: ClassVar[str] = "javascript"
    description: ClassVar[str] = "JavaScript (QuickJS): async/await, top-level await, Promise.all, for await"
    extensions: ClassVar[tuple[str, ...]] = (".js", ".mjs", ".cjs")
    aliases: ClassVar[tuple[str, ...]] = ("js", "quickjs")
    vm: ClassVar[str] = "llmspell_engine_javascript.vm:JavaScriptVM"
    library: ClassVar[str] = "_quickjs"
    package: ClassVar[str] = "quickjs-ng"
    max_source_bytes: ClassVar[int] = 20_000_000
    default_timeout: ClassVar[float] = 600.0
