"""Where the modules of a script are: beside whoever asks, in the script's folder, in `module_paths`, in `node_modules`.

The folder of the script, and those of `module_paths`, need not be allowed for modules, because the operator chose them; what
is denied or sensitive in them is so for modules, too. A script that is no file has the working folder instead, of which
the policy's own rules hold.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

from llmspell_core.errors import NotFoundError, ResourceLimitError, ScriptError, SecurityError, ValidationError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from llmspell_core.policy import Files
    from llmspell_core.script.scope import ScriptScope

__all__ = ["engine_settings", "files_of", "find_module", "inside", "refuse_typescript", "source_of"]

MAX_SOURCE = 10_000_000
MAX_NAME = 1000
_LUA_NAME = re.compile(r"[A-Za-z0-9_./-]+")
_JAVASCRIPT_NAME = re.compile(r"(?:@[A-Za-z0-9_.-]+/)?[A-Za-z0-9_.+ -]+(?:/[A-Za-z0-9_.+ @-]+)*|\.{1,2}(?:/[^\0/]+)*/?")
_PATTERNS = {
    "lua": ("{}.lua", "{}/init.lua"),
    "javascript": ("{}", "{}.js", "{}.mjs", "{}.cjs", "{}.json", "{}/index.js"),
}
_TYPESCRIPT = frozenset({".ts", ".mts", ".cts", ".tsx", ".jsx"})
_TEXTS = frozenset(
    {".txt", ".md", ".csv", ".html", ".css", ".yaml", ".yml", ".toml", ".xml", ".sql", ".wasm", ".lua", ".py"}
)
_NODE_NAMES = """
assert async_hooks buffer child_process cluster console constants crypto dgram diagnostics_channel dns domain events fs http
http2 https inspector module net os path perf_hooks process punycode querystring readline repl stream string_decoder sys
timers tls tty url util v8 vm wasi worker_threads zlib
"""
_NODE = frozenset(_NODE_NAMES.split())
_INSTEAD = {
    "fs": "Read and write with Tool.execute('file-operations', {operation: 'read', path}).",
    "http": "Use fetch(url), or Tool.execute('http-request', {input: url}).",
    "child_process": "Scripts start no programs in JavaScript; a tool can.",
    "crypto": "Use crypto.randomUUID(), crypto.getRandomValues(), or Tool.execute('hash-calculator', {operation: 'hash', input}).",
    "url": "URL and URLSearchParams are globals.",
    "readline": "Read lines with: for await (const line of process.stdin).",
    "buffer": "Use Uint8Array, TextEncoder and TextDecoder.",
    "timers": "setTimeout, setInterval and sleep(ms) are globals.",
}
for _name, _same in {
    "https": "http",
    "fs/promises": "fs",
    "readline/promises": "readline",
    "timers/promises": "timers",
}.items():
    _INSTEAD[_name] = _INSTEAD[_same]


def find_module(scope: ScriptScope, name: str, base: str | None = None) -> dict[str, Any]:
    """{"name", "source", "main"} of a module that the file `base` (None: the script itself) asks for.

    `main`: it is the script itself.
    """
    search = _Search(scope, base)
    if scope.language == "javascript" and name.startswith("node:"):
        raise _missing(scope, name, search)
    path = search.path_of(name)
    found = search.relative(path) if name.startswith(".") else search.anywhere(path)
    _check_allowed(scope, name, found)
    if found is None:
        raise _missing(scope, name, search)
    folder, file = found
    refuse_typescript(file)
    _refuse_text(scope, file)
    main = scope.script_dir is not None and file == Path(scope.script_dir, Path(scope.script_name).name).resolve()
    return {"name": str(file), "source": source_of(scope, folder, file), "main": main}


def _refuse_text(scope: ScriptScope, file: Path) -> None:
    """Raises: ValidationError for a file that is plainly no program, which the engine would report as a wrong one."""
    if scope.language == "javascript" and file.suffix.lower() in _TEXTS:
        raise ValidationError(
            f"{file.name} cannot be imported: modules are .js, .mjs, .cjs and .json files",
            field="module",
            hint=f"Read it: (await Tool.execute('file-operations', {{operation: 'read', path: '{file.name}'}})).text",
        )


def refuse_typescript(path: Path) -> None:
    """Raises: ValidationError for a file whose types nothing here takes out."""
    if path.suffix.lower() in _TYPESCRIPT:
        raise ValidationError(
            f"{path.name} is no JavaScript yet: types and markup are not taken out here",
            field="script",
            hint=f"Make JavaScript of it first, for example: npx esbuild {path.name} --outfile={path.with_suffix('.js').name}",
        )


class _Search:
    """The places where one module may be."""

    def __init__(self, scope: ScriptScope, base: str | None) -> None:
        self.scope, self.language = scope, scope.language
        self.patterns = _PATTERNS.get(scope.language, ("{}",))
        self.more = [str(Path(p).expanduser()) for p in engine_settings(scope).get("module_paths") or ()]
        self.roots = [scope.script_dir if scope.script_dir is not None else _working_folder(scope), *self.more]
        self.from_file = scope.script_dir is not None
        self.folder = self._folder_of(base)

    def _folder_of(self, base: str | None) -> Path:
        """The folder of the file that asks; a name from the worker that is in none of our folders counts as the script."""
        start = Path(self.roots[0]).resolve()
        if not base:
            return start
        folder = Path(base).resolve().parent
        return folder if any(folder.is_relative_to(Path(root).resolve()) for root in self.roots) else start

    def path_of(self, name: str) -> str:
        """The name as a path. Raises: ValidationError."""
        if self.language == "lua":
            path = name.replace(".", "/") if "/" not in name else name
            fine = bool(_LUA_NAME.fullmatch(name)) and ".." not in name.split("/") and not path.startswith("/")
        else:
            path = name
            fine = len(name) <= MAX_NAME and bool(_JAVASCRIPT_NAME.fullmatch(name))
        if not fine:
            hint = "Letters, digits, _, -, . and / are allowed; it may begin with ./ or ../ in JavaScript."
            raise ValidationError(f"'{name[:80]}' is not a module name", hint=hint)
        return path

    def relative(self, path: str) -> tuple[str, Path] | None:
        """A path that begins with a dot is one from whoever asks; in Lua from the script's folder."""
        start = self.folder if self.language != "lua" else Path(self.roots[0])
        wanted = os.path.normpath(start / path)
        inner = [root for root in self.roots if Path(wanted).is_relative_to(Path(root).resolve())]
        if not inner and self.language != "lua":
            message = f"'{path[:80]}' is not a module name: it leads out of the script's folder"
            raise ValidationError(message, hint="Name its folder in engines.javascript.module_paths.")
        for root in inner or self.roots:
            found = self._in(root, wanted)
            if found is not None:
                return root, found
        return None

    def anywhere(self, path: str) -> tuple[str, Path] | None:
        for root in self.roots:
            found = self._in(root, path)
            if found is not None:
                return root, found
        return self._package(path) if self.language == "javascript" else None

    def _in(self, root: str, path: str) -> Path | None:
        for pattern in self.patterns:
            found = inside(root, pattern.format(path))
            if found is not None:
                return found
        return None

    def _package(self, name: str) -> tuple[str, Path] | None:
        """A package in the nearest `node_modules`, from the folder of whoever asks up to the outermost folder of ours."""
        parts = name.split("/")
        count = 2 if name.startswith("@") else 1
        package, rest = "/".join(parts[:count]), "/".join(parts[count:])
        for root, folder in self._upwards():
            place = folder / "node_modules" / package
            if place.is_dir():
                for entry in [rest] if rest else self._entries(root, place):
                    found = self._in(root, str(place / entry))
                    if found is not None:
                        return root, found
        return None

    def _upwards(self) -> Iterator[tuple[str, Path]]:
        for root in self.roots:
            outermost = Path(root).resolve()
            folder = self.folder if self.folder.is_relative_to(outermost) else outermost
            while True:
                yield root, folder
                if folder == outermost:
                    break
                folder = folder.parent

    def _entries(self, root: str, place: Path) -> list[str]:
        """Where a package may begin, as its package.json says it."""
        described: Any = {}
        if (place / "package.json").is_file():
            with contextlib.suppress(ValueError, RecursionError):
                described = json.loads(source_of(self.scope, root, place / "package.json"))
        described = described if isinstance(described, dict) else {}
        exported = described.get("exports")
        if isinstance(exported, dict):
            exported = exported.get(".", exported)
        found = [_first_text(exported), described.get("main"), "index.js", "index"]
        return [entry.removeprefix("./") for entry in found if isinstance(entry, str) and entry]


def _first_text(exported: Any) -> str | None:
    """The file that `exports` names for somebody like us."""
    for _ in range(8):
        if not isinstance(exported, dict):
            break
        kinds = ("require", "node", "import", "default")
        exported = next((exported[kind] for kind in kinds if kind in exported), None)
    return exported if isinstance(exported, str) else None


def _missing(scope: ScriptScope, name: str, search: _Search) -> Exception:
    plain = name.removeprefix("node:")
    if scope.language == "javascript" and plain.partition("/")[0] in _NODE:
        hint = _INSTEAD.get(
            plain, "It belongs to Node.js; scripts here have Tool.execute(...) for what reaches outside."
        )
        return NotFoundError(f"module '{name}' not found: it is a part of Node.js", what="module", name=name, hint=hint)
    shown = name.replace(".", "/") if scope.language == "lua" and "/" not in name else name
    tried = ", ".join(pattern.format(shown) for pattern in search.patterns)
    where = "the script's folder" if search.from_file else "the working folder"
    where += " or module_paths" if search.more else ""
    return NotFoundError(f"module '{name}' not found in {where} (tried {tried})", what="module", name=name)


def _check_allowed(scope: ScriptScope, name: str, found: tuple[str, Path] | None) -> None:
    """A module may be allowed by the name that is asked for, or by its place in the folder."""
    names = {name, name.removeprefix("./")}
    if found is not None:
        place = found[1].relative_to(Path(found[0]).resolve())
        names |= {place.as_posix(), place.with_suffix("").as_posix()}
    allowed = engine_settings(scope).get("allowed_modules") or ()
    if allowed and names.isdisjoint(allowed):
        raise SecurityError(
            f"the module '{name}' may not be loaded",
            violation_type="module_denied",
            hint=f'Add "{name}" to engines.{scope.language}.allowed_modules.',
        )


def engine_settings(scope: ScriptScope) -> dict[str, Any]:
    """The table `engines.<language>`; empty where there is no configuration (an engine tested on its own)."""
    found = scope.runtime.config.get(f"engines.{scope.language}") if scope.runtime is not None else None
    return found if isinstance(found, dict) else {}


def _working_folder(scope: ScriptScope) -> str:
    return str(scope.runtime.policy.settings.base) if scope.runtime is not None else os.getcwd()  # noqa: PTH109


def inside(folder: str, name: str) -> Path | None:
    """The file, if it is one and really lies in `folder`, links followed."""
    root = Path(folder).resolve()
    path = (root / name).resolve()
    return path if path.is_relative_to(root) and path.is_file() else None


def files_of(scope: ScriptScope) -> Files:
    if scope.runtime is not None:
        return scope.context.files
    from llmspell_core.policy import Files, Policy

    return Files(Policy())  # an engine tested on its own


def source_of(scope: ScriptScope, folder: str, path: Path) -> str:
    """The text of a module, read through the policy."""
    files = files_of(scope)
    chosen = scope.script_dir is not None or folder != _working_folder(scope)
    with (files.only(folder) if chosen else files).open(path) as file:
        data = file.read(MAX_SOURCE + 1)
    if len(data) > MAX_SOURCE:
        raise ResourceLimitError(
            f"{path.name} is too large", resource="source bytes", limit=MAX_SOURCE, used=path.stat().st_size
        )
    try:
        return data.decode("utf-8-sig").replace("\r\n", "\n").replace("\r", "\n")
    except UnicodeDecodeError:
        raise ScriptError(f"{path.name} is not UTF-8 text", file=str(path), phase="syntax") from None
