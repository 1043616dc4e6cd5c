"""What the engines themselves ask for on behalf of a script: modules, files, environment names. Not visible to scripts.

`require`, `import`, `dofile`, `io.open`, `os.getenv` and `os.execute` of a script end up here, and all of them go through the
policy, as for a tool.
"""

from __future__ import annotations

import base64
import binascii
import sys
from typing import TYPE_CHECKING, Any

from llmspell_core.errors import SecurityError, ValidationError
from llmspell_core.script.declare import Function, Global, Param
from llmspell_core.script.globals.modules import find_module, inside, source_of

if TYPE_CHECKING:
    from llmspell_core.policy import Policy
    from llmspell_core.script.scope import ScriptScope

__all__ = ["FILE", "SCRIPT"]


def _module(scope: ScriptScope, name: str, base: str | None = None) -> dict[str, Any]:
    """{"name", "source", "main"} of a module, see `find_module`."""
    _check_profile(scope)
    return find_module(scope, name, base)


async def _script_source(scope: ScriptScope, path: str) -> dict[str, str]:
    """{"name", "source"} of a file named by the script: in its own folder, or where the policy allows reading."""
    _check_profile(scope)
    folder = scope.script_dir
    own = inside(folder, path) if folder is not None else None
    if folder is not None and own is not None:
        return {"name": path, "source": source_of(scope, folder, own)}
    return {"name": path, "source": await scope.context.files.read_text(path)}


def _getenv(scope: ScriptScope, name: str) -> str | None:
    """The variable; None when it is not set or the policy hides it."""
    _check_profile(scope)
    policy: Policy = scope.runtime.policy
    return policy.environ.get(name) if policy.may_read_env(name) else None


def _environment(scope: ScriptScope) -> dict[str, str]:
    """All variables that the policy lets scripts see."""
    _check_profile(scope)
    policy: Policy = scope.runtime.policy
    return policy.environment()


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
        Function(
            "module", _module, (Param("name", "string"), Param("base", "string", required=False)), returns="object"
        ),
        Function("source", _script_source, (Param("path", "string"),), returns="object", blocking=True),
        Function("getenv", _getenv, (Param("name", "string"),)),
        Function("environment", _environment, returns="object"),
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
