"""The scripts of one runtime: which engine runs a file, what it may use, and its session."""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextvars import ContextVar
from pathlib import Path
from typing import TYPE_CHECKING, Any

from llmspell_core.errors import LLMSpellError, NotFoundError, PluginError, ScriptError, ValidationError
from llmspell_core.script.globals.modules import refuse_typescript

if TYPE_CHECKING:
    from llmspell_core.context import ExecutionContext
    from llmspell_core.runtime import Runtime
    from llmspell_core.script.api import ScriptApi, Summary
    from llmspell_core.script.declare import Global
    from llmspell_core.script.engine import ScriptEngine
    from llmspell_core.script.host import ScriptSession
    from llmspell_core.script.process import WorkerProcess
    from llmspell_core.script.result import Limits, ScriptResult

__all__ = ["Scripts"]

_running: ContextVar[bool] = ContextVar("llmspell_script_runs", default=False)
Sink = Callable[[str, str], None]
Stdin = Callable[[], str | Awaitable[str | None] | None]


class Scripts:
    """Runs scripts; `Runtime.run_script` is its front."""

    def __init__(self, runtime: Runtime) -> None:
        self._runtime = runtime
        self._api: ScriptApi | None = None
        self._sessions: set[ScriptSession] = set()
        self._places = asyncio.Semaphore(int(runtime.config.get("runtime.max_concurrent_scripts") or 10))
        self.broken_globals: dict[str, LLMSpellError] = {}

    def engine(self, name: str | None = None, *, path: Path | None = None, source: str | bytes = "") -> ScriptEngine:
        """The engine of that name, or of the file's suffix, its `#!` line, or the configuration's default.

        Raises:
            NotFoundError: it is not installed; says how to install it.
            ValidationError: the file is of a language that nothing here runs.
        """
        if name is None and path is not None:
            refuse_typescript(path)
        chosen = name or self._by_suffix(path) or self._by_first_line(source)
        return self._make(chosen or str(self._runtime.config.get("default_engine") or "lua"))

    def _make(self, name: str) -> ScriptEngine:
        registry = self._runtime.registry
        kind = registry.load("engines", "javascript" if name in {"js", "mjs", "node"} else name)
        settings = self._runtime.config.section(f"engines.{kind.name}")
        engine: ScriptEngine = kind(settings)
        return engine

    def _by_suffix(self, path: Path | None) -> str | None:
        suffix = path.suffix.lower() if path else ""
        if suffix in KNOWN_SUFFIXES:
            return KNOWN_SUFFIXES[suffix]
        registry = self._runtime.registry
        for name in registry.names("engines") if suffix else ():
            if suffix in registry.load("engines", name).extensions:
                return name
        if suffix in OTHER_LANGUAGES:
            language, hint = OTHER_LANGUAGES[suffix]
            raise ValidationError(f"{path} is {language}, which no installed engine runs", field="script", hint=hint)
        return None

    def _by_first_line(self, source: str | bytes) -> str | None:
        text = source[:200].decode("utf-8", "replace") if isinstance(source, bytes) else source[:200]
        first = text.partition("\n")[0]
        if not first.startswith("#!"):
            return None
        return next((engine for word, engine in SHEBANG_WORDS.items() if word in first), None)

    @property
    def api(self) -> ScriptApi:
        """All declared globals. A third party's that cannot be loaded is left out and remembered, not fatal."""
        if self._api is None:
            from llmspell_core.script.api import ScriptApi

            self._api = ScriptApi(self._globals(), self._runtime)
        return self._api

    def _globals(self) -> list[Global | Summary]:
        registry = self._runtime.registry
        found: list[Global | Summary] = []
        for name in registry.names("globals"):
            try:
                found.append(self._summary(name) or registry.load("globals", name))
            except PluginError as error:
                self.broken_globals[name] = error
        return found

    def _summary(self, name: str) -> Summary | None:
        """What the catalog kept of an installed global; None when it has to be imported."""
        from llmspell_core.script.api import Summary

        registry = self._runtime.registry
        component = registry.info("globals", name)
        if component is None or component.error is not None or registry.catalog is None:
            return None
        data = registry.catalog.schema(component)
        if not data or data.get("conditional", True):
            return None
        return Summary(name, data, lambda: registry.load("globals", name))

    def limits(self, engine: ScriptEngine, timeout: float | None) -> Limits:
        """Seconds and bytes from the configuration; an explicit `timeout` wins."""
        from llmspell_core.config import script_limits
        from llmspell_core.script.result import Limits

        seconds, memory = script_limits(self._runtime.config, engine.name, timeout)
        return Limits(timeout=seconds, memory_bytes=memory)

    async def open(
        self,
        engine: ScriptEngine,
        *,
        context: ExecutionContext | None = None,
        timeout: float | None = None,
        output: Sink | None = None,
        interactive: bool = False,
        worker: WorkerProcess | None = None,
    ) -> ScriptSession:
        """A session that the runtime closes at its end, if nobody did before."""
        from llmspell_core.script.process import WorkerProcess

        worker = worker or WorkerProcess.start()  # it boots while the globals are imported
        try:
            worker.become(engine)
            from llmspell_core.script.host import ScriptSession  # while it loads the VM

            session = await ScriptSession.open(
                engine,
                self.api,
                self._runtime,
                context=context,
                profile=self._runtime.policy.settings.profile,
                limits=self.limits(engine, timeout),
                output=output,
                interactive=interactive,
                worker=worker,
                require_fence=bool(self._runtime.config.get("runtime.security.require_fence")),
            )
        except BaseException:  # also a cancel: nobody else knows of the process
            await worker.discard()
            raise
        self._sessions.add(session)
        return session

    async def console(
        self,
        engine: str | None = None,
        *,
        interactive: bool = True,
        timeout: float | None = None,
        output: Sink | None = None,
    ) -> ScriptSession:
        """An interactive session: many cells, one set of variables. Close it with `close_session`."""
        return await self.open(self.engine(engine), interactive=interactive, timeout=timeout, output=output)

    async def close_session(self, session: ScriptSession) -> None:
        self._sessions.discard(session)
        await session.close()

    async def run(
        self,
        source: str | bytes | None = None,
        *,
        path: str | os.PathLike[str] | None = None,
        engine: str | None = None,
        name: str | None = None,
        args: Sequence[str] | Mapping[str, Any] = (),
        timeout: float | None = None,
        output: Sink | None = None,
        stdin: Stdin | None = None,
        context: ExecutionContext | None = None,
        worker: WorkerProcess | None = None,
        is_code: bool = False,
    ) -> ScriptResult:
        """Run a script from a file or from text; see `Runtime.run_script`."""
        file = Path(path) if path is not None else None
        text = self._read(file) if file is not None else source
        if text is None:
            raise ValidationError("run_script needs a path or a source", field="source")
        chosen = self.engine(engine, path=file, source=text)
        name = name or (str(path) if path is not None else f"<{chosen.name}>")
        surroundings = self._surroundings(text, context)
        async with self._place(), surroundings as (scripts, own), self._traced(name, chosen):
            session = await scripts.open(chosen, context=own, timeout=timeout, output=output, worker=worker)
            session.scope.stdin = stdin
            try:
                folder = str(file.resolve().parent) if file is not None else None
                mode = "code" if is_code else "script"
                return await session.run(text, name=name, args=args, directory=folder, mode=mode)
            finally:
                await scripts.close_session(session)

    @contextlib.asynccontextmanager
    async def _place(self) -> AsyncIterator[None]:
        """One of `runtime.max_concurrent_scripts`. What a script itself brings about needs no place: it could wait forever."""
        if _running.get():
            yield
            return
        async with self._places:
            token = _running.set(True)
            try:
                yield
            finally:
                _running.reset(token)

    @contextlib.asynccontextmanager
    async def _traced(self, name: str, engine: ScriptEngine) -> AsyncIterator[None]:
        """A span around a script, when somebody watches."""
        tracer = self._runtime.tracer
        with contextlib.nullcontext() if tracer is None else tracer.span("script", name, language=engine.language):
            yield

    @contextlib.asynccontextmanager
    async def _surroundings(
        self, source: str | bytes, context: ExecutionContext | None
    ) -> AsyncIterator[tuple[Scripts, ExecutionContext | None]]:
        """These scripts; or those of a stricter runtime of its own, where the script's header asks for one."""
        from llmspell_core.runtime import Runtime
        from llmspell_core.script.header import asked_profile

        own, asked = self._runtime, asked_profile(source)
        config = own.config.tightened(asked) if asked is not None else own.config
        if config is own.config:
            yield self, context
            return
        runtime = Runtime(config, registry=own.registry, cwd=own.cwd)
        runtime.tracer = own.tracer
        async with runtime as narrow:
            narrow.providers.offer_model, narrow.approver = own.providers.offer_model, own.approver
            yield narrow.scripts, context and narrow.context(session_id=context.session_id, user_id=context.user_id)

    def _read(self, path: Path) -> bytes:
        try:
            size = path.stat().st_size
            if size > MAX_SCRIPT_BYTES:
                raise ScriptError(
                    f"{path} has {size:,} bytes; a script may have {MAX_SCRIPT_BYTES:,}",
                    file=str(path),
                    phase="syntax",
                    hint="Is it really a script? Put data into a file that the script reads.",
                )
            return path.read_bytes()
        except FileNotFoundError:
            raise self._missing(path) from None
        except IsADirectoryError:
            raise ValidationError(f"{path} is a directory", field="script", hint="Name a script file.") from None
        except OSError as error:
            raise ScriptError(f"{path} cannot be read: {error.strerror}", file=str(path)) from error

    def _missing(self, path: Path) -> NotFoundError:
        from difflib import get_close_matches

        folder = path.parent
        names = [p.name for p in folder.iterdir()] if folder.is_dir() else []
        near = get_close_matches(path.name, names, n=2)
        hint = (
            f"Did you mean {' or '.join(str(folder / n) for n in near)}?" if near else f"Looked in {folder.resolve()}."
        )
        return NotFoundError(f"there is no script {path}", hint=hint, what="script", name=str(path), near=near)

    async def close(self) -> None:
        for session in list(self._sessions):
            await self.close_session(session)


MAX_SCRIPT_BYTES = 20_000_000
OTHER_LANGUAGES = {
    ".py": (
        "Python",
        "From Python, use the package: from llmspell_core.runtime import Runtime (docs/how-to/python.md).",
    ),
}
"""What people try to run, taken for the default engine's language otherwise: its syntax error says nothing."""
KNOWN_SUFFIXES = {".lua": "lua", ".js": "javascript", ".mjs": "javascript"}
SHEBANG_WORDS = {"lua": "lua", "javascript": "javascript", "node": "javascript", "js": "javascript"}
