"""What the engines themselves ask for on behalf of a script: modules, files, environment names. Not visible to scripts.

`require`, `import`, `dofile`, `io.open`, `os.getenv` and `os.execute` of a script end up here, and all of them go through the
policy, as for a tool. The folder of the script, and those of `module_paths`, need not be allowed for modules, because the
operator chose them; what is denied or sensitive in them is so for modules, too.
"""

from __future__ import annotations

import base64
import binascii
import re
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from llmspell_core.errors import NotFoundError, ResourceLimitError, ScriptError, SecurityError, ValidationError
from llmspell_core.script.declare import Function, Global, Param

if TYPE_CHECKING:
    from llmspell_core.policy import Files, Policy
    from llmspell_core.script.scope import ScriptScope

__all__ = ["FILE", "SCRIPT"]

MAX_SOURCE = 10_000_000
_MODULE_NAME = re.compile(r"[A-Za-z0-9_./-]+")
_PATTERNS = {
    "lua": ("{}.lua", "{}/init.lua"),
    "javascript": ("{}", "{}.js", "{}.json", "{}/index.js"),
}


def _module(scope: ScriptScope, name: str) -> dict[str, str]:
    """{"name", "source"} of a module in the script's folder or in `engines.<name>.module_paths`."""
    _check_profile(scope)
    path = name.replace(".", "/") if scope.language == "lua" and "/" not in name else name
    if not _MODULE_NAME.fullmatch(name) or ".." in name.split("/") or path.startswith("/"):
        raise ValidationError(f"'{name[:80]}' is not a module name", hint="Letters, digits, _, -, . and / are allowed.")
    settings = _engine_settings(scope)
    allowed = settings.get("allowed_modules") or ()
    if allowed and name not in allowed:
        raise SecurityError(
            f"the module '{name}' may not be loaded",
            violation_type="module_denied",
            hint=f'Add "{name}" to engines.{scope.language}.allowed_modules.',
        )
    return _found(scope, name, path, [str(Path(p).expanduser()) for p in settings.get("module_paths") or ()])


def _found(scope: ScriptScope, name: str, path: str, more: list[str]) -> dict[str, str]:
    folders = [*([scope.script_dir] if scope.script_dir is not None else []), *more]
    if not folders:
        raise NotFoundError(
            f"module '{name}' not found: this script is not a file, so it has no folder", what="module", name=name
        )
    patterns = _PATTERNS.get(scope.language, ("{}",))
    for folder in folders:
        for pattern in patterns:
            found = _inside(folder, pattern.format(path.removeprefix("./")))
            if found is not None:
                return {"name": str(found), "source": _source(scope, folder, found)}
    tried = ", ".join(pattern.format(path) for pattern in patterns)
    where = "the script's folder" if not more else "the script's folder or module_paths"
    raise NotFoundError(f"module '{name}' not found in {where} (tried {tried})", what="module", name=name)


def _engine_settings(scope: ScriptScope) -> dict[str, Any]:
    """The table `engines.<language>`; empty where there is no configuration (an engine tested on its own)."""
    config = getattr(scope.runtime, "config", None)
    found = config.get(f"engines.{scope.language}") if config is not None else None
    return found if isinstance(found, dict) else {}


def _inside(folder: str, name: str) -> Path | None:
    """The file, if it is one and really lies in `folder`, links followed."""
    root = Path(folder).resolve()
    path = (root / name).resolve()
    return path if path.is_relative_to(root) and path.is_file() else None


def _files(scope: ScriptScope) -> Files:
    if scope.runtime is not None:
        return scope.context.files
    from llmspell_core.policy import Files, Policy

    return Files(Policy())  # an engine tested on its own


def _source(scope: ScriptScope, folder: str, path: Path) -> str:
    with _files(scope).only(folder).open(path) as file:
        data = file.read(MAX_SOURCE + 1)
    if len(data) > MAX_SOURCE:
        raise ResourceLimitError(
            f"{path.name} is too large", resource="source bytes", limit=MAX_SOURCE, used=path.stat().st_size
        )
    try:
        return data.decode("utf-8-sig").replace("\r\n", "\n").replace("\r", "\n")
    except UnicodeDecodeError:
        raise ScriptError(f"{path.name} is not UTF-8 text", file=str(path), phase="syntax") from None


async def _script_source(scope: ScriptScope, path: str) -> dict[str, str]:
    """{"name", "source"} of a file named by the script: in its own folder, or where the policy allows reading."""
    _check_profile(scope)
    folder = scope.script_dir
    own = _inside(folder, path) if folder is not None else None
    if folder is not None and own is not None:
        return {"name": path, "source": _source(scope, folder, own)}
    return {"name": path, "source": await scope.context.files.read_text(path)}


def _getenv(scope: ScriptScope, name: str) -> str | None:
    """The variable; None when it is not set or the policy hides it."""
    _check_profile(scope)
    policy: Policy = scope.runtime.policy
    return policy.environ.get(name) if policy.may_read_env(name) else None


async def _stdin(scope: ScriptScope) -> str | None:
    """The next piece of input; None when there is no more, or none at all."""
    _check_profile(scope)
    if scope.stdin is None:
        return None
    piece = scope.stdin()
    found: str | None = await piece if hasattr(piece, "__await__") else piece
    return found


async def _execute(scope: ScriptScope, command: str) -> dict[str, Any]:
    """{"stdout", "stderr", "exit_code"} of a command line that the shell ran; negative: ended by that signal."""
    if scope.profile != "low":
        raise SecurityError(
            f"the security profile '{scope.profile}' does not let scripts start programs",
            violation_type="process_denied",
            hint="Run the script under the profile low, with the program in tools.system.allowed_commands.",
        )
    shell = ("cmd", "/c") if sys.platform == "win32" else ("sh", "-c")
    done = await scope.context.process.run(shell[0], [shell[1], command])
    return {"stdout": done.stdout, "stderr": done.stderr, "exit_code": done.exit_code}


def _check_profile(scope: ScriptScope) -> None:
    """The engines offer none of this under "high"; a script that got out of its engine is refused here."""
    if scope.profile == "high":
        raise SecurityError(
            "the security profile 'high' gives scripts neither modules nor environment nor input",
            violation_type="script_environment_denied",
            hint="Run it under the profile medium, or without what it asks for.",
        )


SCRIPT = Global(
    "Script",
    hidden=True,
    functions=(
        Function("module", _module, (Param("name", "string"),), returns="object"),
        Function("source", _script_source, (Param("path", "string"),), returns="object", blocking=True),
        Function("getenv", _getenv, (Param("name", "string"),)),
        Function("stdin", _stdin, blocking=True),
        Function("execute", _execute, (Param("command", "string"),), returns="object", blocking=True),
    ),
)


# -- files ---------------------------------------------------------------------------------------------------------------
# Content is a string, or {"b64": ...} when it is not UTF-8 text.


def _bytes(content: str | dict[str, Any]) -> bytes:
    if isinstance(content, str):
        return content.encode("utf-8", "surrogatepass")
    try:
        return base64.b64decode(content["b64"])
    except (binascii.Error, KeyError, TypeError, ValueError):
        raise ValidationError("this is not file content") from None


async def _read(scope: ScriptScope, path: str) -> str | dict[str, str]:
    data = await scope.context.files.read_bytes(path)
    try:
        return data.decode()
    except UnicodeDecodeError:
        return {"b64": base64.b64encode(data).decode()}


async def _write(scope: ScriptScope, path: str, content: Any) -> None:
    await scope.context.files.write_bytes(path, _bytes(content))


async def _append(scope: ScriptScope, path: str, content: Any) -> None:
    await scope.context.files.append(path, _bytes(content))


async def _remove(scope: ScriptScope, path: str) -> None:
    await scope.context.files.delete(path)


async def _rename(scope: ScriptScope, path: str, target: str) -> None:
    await scope.context.files.move(path, target)


_PATH = Param("path", "string")
_CONTENT = Param("content", "any", required=False, default="")

FILE = Global(
    "File",
    hidden=True,
    functions=(
        Function("read", _read, (_PATH,), blocking=True),
        Function("write", _write, (_PATH, _CONTENT), blocking=True),
        Function("append", _append, (_PATH, _CONTENT), blocking=True),
        Function("remove", _remove, (_PATH,), blocking=True),
        Function("rename", _rename, (_PATH, Param("target", "string")), blocking=True),
    ),
)
