"""The child process that imports components to learn what they say about themselves.

Reads `[[distribution, kind, name, value], ...]` as JSON from standard input and answers with JSON lines: `begin` before
a component is imported, `done` with its row after it. If this process ends in between, the parent knows whom to blame.
"""

from __future__ import annotations

import io
import json
import os
import sys
from collections.abc import Callable, Iterable, Mapping
from importlib.metadata import EntryPoint
from importlib.util import find_spec
from typing import IO, Any

from stevedore import ExtensionManager

from llmspell_core.plugins.kinds import kind_of
from llmspell_core.plugins.records import RETURNS

__all__ = ["describe", "main"]


class ContractBreach(Exception):  # noqa: N818 - never leaves this process
    """A component is importable but not what its group asks for."""


class _Single(ExtensionManager[Any]):
    """Loads exactly one entry point, with stevedore's rule that a failure goes to a callback."""

    def __init__(self, point: EntryPoint, on_failure: Callable[..., None]) -> None:
        self._point = point
        super().__init__(point.group, on_load_failure_callback=on_failure)

    def list_entry_points(self) -> list[EntryPoint]:
        return [self._point]


def main() -> None:
    """Answer one request, then end without running anybody's exit handlers."""
    os.environ.setdefault("PYDANTIC_DISABLE_PLUGINS", "__all__")  # see `llmspell_core.cli.main`
    answers = _take_over_stdout()
    for distribution, kind, name, value in json.load(sys.stdin):
        key = [distribution, kind, name]
        _say(answers, {"event": "begin", "key": key})
        row, schema = describe(kind, name, value, distribution)
        _say(answers, {"event": "done", "key": key, "row": row, "schema": schema})
    os._exit(0)


def _take_over_stdout() -> IO[str]:
    """The answers get a descriptor of their own; what plugins print while imported goes nowhere."""
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    with open(os.devnull, "w") as nowhere:  # noqa: PTH123
        os.dup2(nowhere.fileno(), 1)
    sys.stdout = io.StringIO()
    return answers


def _say(answers: IO[str], message: dict[str, Any]) -> None:
    answers.write(json.dumps(message, default=str) + "\n")
    answers.flush()


def describe(kind: str, name: str, value: str, distribution: str) -> tuple[dict[str, Any], dict[str, Any] | None]:
    """The catalog row's fields beyond the entry point, and the JSON schema if there is one."""
    failures: list[BaseException] = []
    try:
        manager = _Single(
            EntryPoint(name, value, f"llmspell.{kind}"), lambda _manager, _point, error: failures.append(error)
        )
        if not failures:
            loaded = manager.extensions[0].plugin
            _check(kind, name, loaded)
            return _row(kind, loaded) | _declared_in(kind, value), _schema(kind, loaded)
    except BaseException as error:  # noqa: BLE001 - SystemExit and KeyboardInterrupt of a plugin are its defects
        failures.append(error)
    return {"error": _error(failures[0], distribution), "source": _source_of(value)}, None


def _check(kind: str, name: str, loaded: Any) -> None:
    contract = _contract(kind)
    if contract is not None and not (
        isinstance(loaded, contract) or (isinstance(loaded, type) and issubclass(loaded, contract))
    ):
        raise ContractBreach(f"it must be a {contract.__module__}.{contract.__qualname__}, but is {_what(loaded)}")
    if kind == "tools":
        _check_tool(name, loaded)


def _check_tool(name: str, tool: Any) -> None:
    if tool.name != name:
        raise ContractBreach(f"its class calls itself '{tool.name}', its entry point '{name}'")
    if not tool.description:
        raise ContractBreach("it has no description")
    if not hasattr(tool, "parameters"):
        raise ContractBreach("it has no parameters model")


def _contract(kind: str) -> type | None:
    module, _, attribute = kind_of(kind).contract.partition(":")
    if not module:
        return None
    found = getattr(__import__(module, fromlist=[attribute]), attribute)
    return found if isinstance(found, type) else None


def _what(loaded: Any) -> str:
    return f"the class {loaded.__qualname__}" if isinstance(loaded, type) else f"a {type(loaded).__name__}"


def _row(kind: str, loaded: Any) -> dict[str, Any]:
    level = getattr(loaded, "security_level", "")
    return {
        "description": _description(kind, loaded),
        "category": str(getattr(loaded, "category", "") or "") if kind_of(kind).has_category else "",
        "security_level": str(level) if kind == "tools" else "",
        "aliases": sorted({*_words(getattr(loaded, "aliases", ())), *_words(getattr(loaded, "presets", ()))}),
        "missing": [m for m in _words(getattr(loaded, "requires", ())) if find_spec(m) is None],
        "source": _source_file(loaded),
        "extra": _extra(kind, loaded),
    }


def _extra(kind: str, loaded: Any) -> dict[str, Any]:
    found = {key: _plain(getattr(loaded, key)) for key in kind_of(kind).keeps if getattr(loaded, key, None) is not None}
    fields = getattr(getattr(loaded, "settings", None), "model_fields", None)
    if kind_of(kind).has_settings and fields is not None:
        found["settings"] = list(fields)
    if kind == "providers":
        from llmspell_core.provider import LocalProvider

        found["is_local"] = isinstance(loaded, type) and issubclass(loaded, LocalProvider)
        if found["is_local"]:
            found["short_names"] = _words(loaded.short_names())
    return found


def _description(kind: str, loaded: Any) -> str:
    if kind == "commands" and hasattr(loaded, "get_short_help_str"):
        return str(loaded.get_short_help_str(limit=100))
    text = getattr(loaded, "description", None) or getattr(loaded, "doc", None)
    if not isinstance(text, str):
        text = (loaded.__doc__ if isinstance(loaded, type) or callable(loaded) else None) or ""
    return next((line.strip() for line in text.splitlines() if line.strip()), "")


def _words(value: Any) -> list[str]:
    if isinstance(value, str):
        return [value]
    return [str(v) for v in value] if isinstance(value, Iterable) else []


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {str(k): _plain(v) for k, v in value.items()}
    return _words(value) if isinstance(value, (list, tuple, set, frozenset)) else value


def _declared_in(kind: str, value: str) -> dict[str, str]:
    """A global is an object of the core's class, so its own module says where it is declared."""
    return {"source": _source_of(value)} if kind == "globals" else {}


def _source_file(loaded: Any) -> str:
    module = sys.modules.get(getattr(loaded, "__module__", None) or type(loaded).__module__)
    return str(getattr(module, "__file__", None) or "")


def _source_of(value: str) -> str:
    """The file of a component that could not be imported, as far as it can be told."""
    module = value.partition(":")[0]
    while module:
        try:
            spec = find_spec(module)
        except BaseException:  # noqa: BLE001 - finding a submodule imports its parents
            spec = None
        if spec is not None and spec.origin:
            return spec.origin
        module = module.rpartition(".")[0]
    return ""


def _schema(kind: str, loaded: Any) -> dict[str, Any] | None:
    if kind == "globals":
        from llmspell_core.script.api import summarize

        return summarize(loaded)
    model: Any = getattr(loaded, "parameters", None)
    if not kind_of(kind).has_parameters or not hasattr(model, "model_json_schema"):
        return None
    from llmspell_core.parameters import model_schema

    answers = getattr(loaded, "returns", None)
    if kind != "tools" or not isinstance(answers, Mapping) or not answers:
        return model_schema(model)
    return {**model_schema(model), RETURNS: {name: each.to_dict() for name, each in answers.items()}}


def _error(error: BaseException, distribution: str) -> dict[str, str]:
    blocking = f"Report it to its author, update it, or block it: LLMSPELL_PLUGINS_BLOCK={distribution}"
    first = (str(error).splitlines() or [""])[0]
    if isinstance(error, ModuleNotFoundError) and error.name:
        return {
            "type": "MissingDependency",
            "message": f"it needs '{_missing(error.name)}', which is not installed",
            "hint": _reinstall(distribution),
        }
    if isinstance(error, SyntaxError):
        where = f"{error.filename}, line {error.lineno}"
        return {"type": "SyntaxError", "message": f"syntax error in {where}: {error.msg}", "hint": blocking}
    if isinstance(error, ContractBreach):
        return {"type": "Contract", "message": first, "hint": blocking}
    if isinstance(error, SystemExit):
        return {
            "type": "SystemExit",
            "message": f"importing it ends the process (exit code {error.code})",
            "hint": blocking,
        }
    return {"type": type(error).__name__, "message": f"{type(error).__name__}: {first}".rstrip(": "), "hint": blocking}


def _missing(module: str) -> str:
    """The package, or the module within a package that is there."""
    package = module.partition(".")[0]
    return module if package in sys.modules else package


def _reinstall(distribution: str) -> str:
    return f"Install what it needs: pip install --upgrade {distribution}"


if __name__ == "__main__":
    main()
