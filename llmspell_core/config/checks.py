"""What is wrong with a set of settings: types, limits, contradictions, unknown names."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from typing import TYPE_CHECKING, Annotated, Any, Literal, get_args, get_origin

from pydantic import BaseModel, ValidationError

from llmspell_core.config.absent import missing_part
from llmspell_core.config.document import Keys
from llmspell_core.config.secrecy import MASK, is_secret
from llmspell_core.config.settings import OPAQUE, ProviderTable, Section, Settings, Timeouts, Tools, inner_type
from llmspell_core.names import nearest

if TYPE_CHECKING:
    from pydantic_core import ErrorDetails

__all__ = ["Problem", "Tables", "contradictions", "typed", "typed_value", "unknown"]

Tables = Mapping[str, Collection[str] | None]
"""Which tables plugins read (`prometheus`, `tools.calculator`), and the names in each; None where a plugin does not say."""


@dataclass(frozen=True, slots=True)
class Problem:
    """One finding about the setting at `keys`. `message` begins with the dotted key."""

    severity: Literal["error", "warning"]
    keys: Keys
    message: str
    hint: str | None = None


MISSPELT = 0.8
"""From how similar a name on it is a mistake, where it could be something that is not installed."""
_EXPECTED = {
    "bool_parsing": "true or false",
    "bool_type": "true or false",
    "int_parsing": "a whole number",
    "int_type": "a whole number",
    "int_from_float": "a whole number",
    "float_parsing": "a number",
    "float_type": "a number",
    "string_type": "text",
    "list_type": "a list",
    "dict_type": "a table",
    "model_type": "a table",
    "model_attributes_type": "a table",
    "greater_than": "a number greater than {gt}",
    "greater_than_equal": "a number of at least {ge}",
    "less_than_equal": "a number of at most {le}",
    "literal_error": "one of {expected}",
    "string_too_short": "text that is not empty",
    "string_pattern_mismatch": "an address that starts with http:// or https://",
    "value_error": "a list such as [\"a\", \"b\"] or a,b",
}  # fmt: skip
_NAMES = {bool: "true or false", int: "whole number", float: "number", str: "text", list: "list", dict: "table"}


def typed(tree: dict[str, Any]) -> tuple[Settings | None, list[Problem]]:
    """The typed settings, or every value that has the wrong type or is outside its limits."""
    try:
        return Settings(**tree), []
    except ValidationError as failure:
        found = {_keys(error["loc"], tree): error for error in failure.errors()}
        return None, [_wrong(keys, error, tree) for keys, error in found.items()]


def typed_value(keys: Keys, value: Any) -> tuple[Any, bool]:
    """`value` as the setting at `keys` wants it, and whether it cannot be."""
    model: Any = Settings
    kind: Any = Settings
    for key in keys:
        field = model.model_fields.get(key) if _is_model(model) else None
        if field is None:
            found = _extra_type(model)
            return (value, False) if found is None else _converted(found, value)
        kind = Annotated[field.annotation, *field.metadata] if field.metadata else field.annotation
        model = inner_type(field.annotation)
    return (value, True) if _is_model(model) else _converted(kind, value)


def _converted(kind: Any, value: Any) -> tuple[Any, bool]:
    from pydantic import TypeAdapter

    try:
        return TypeAdapter(kind).validate_python(value), False
    except ValidationError:
        return value, True


def _keys(location: tuple[int | str, ...], tree: Any) -> Keys:
    """The path of the setting: without positions in lists and the names pydantic gives to parts of a union."""
    keys: list[str] = []
    for part in location:
        if not isinstance(tree, dict) or part not in tree:
            break
        keys.append(str(part))
        tree = tree[part]
    return tuple(keys) or tuple(str(part) for part in location)


def _wrong(keys: Keys, error: ErrorDetails, tree: dict[str, Any]) -> Problem:
    given: Any = tree
    for key in keys:
        given = given.get(key) if isinstance(given, dict) else None
    known = _EXPECTED.get(error["type"])
    expected = known.format(**error.get("ctx", {})) if known else error["msg"]
    if isinstance(given, list) and len(error["loc"]) > len(keys):
        expected = f"a list in which every item is {expected}"
    return Problem("error", keys, f"{'.'.join(keys)} must be {expected}, but it is {_shown(keys, given)}")


def _shown(keys: Keys, given: Any) -> str:
    if is_secret(keys):
        return MASK
    if isinstance(given, dict):
        return "a table"
    text = f'"{given}"' if isinstance(given, str) else str(given).lower() if isinstance(given, bool) else str(given)
    return f"{text[:60]} ({_NAMES.get(type(given), type(given).__name__)})" if not isinstance(given, bool) else text


def unknown(settings: Settings, plugin_tables: Callable[[], Tables] = dict) -> Iterator[Problem]:
    """A problem for every key that nobody reads: an error with the name that was probably meant.

    What is like nothing that is known, and may belong to something that is not installed, is a warning.

    Args:
        plugin_tables: asked for the tables that plugins read, when there is one that we do not know.
    """
    strange = [key for key in settings.model_extra or {} if key not in OPAQUE]
    read = plugin_tables() if strange or _names_tools(settings.tools) else {}
    for key in strange:
        if key not in read:
            yield _unknown((key,), [*Settings.model_fields, *OPAQUE], others=True)
        else:
            yield from _undeclared((key,), (settings.model_extra or {})[key], read[key])
    for name in Settings.model_fields:
        value = getattr(settings, name)
        if isinstance(value, Section):
            yield from _unknown_in(value, (name,), read)
    if read:
        installed = {key.partition(".")[2]: names for key, names in read.items() if key.startswith("tools.")}
        yield from _unknown_tools(settings.tools, installed)


def _names_tools(tools: Tools) -> bool:
    """Whether the table names a tool, or a setting that only a tool may know."""
    more = (getattr(getattr(tools, name), "model_extra", None) for name in Tools.model_fields)
    return bool(tools.model_extra) or any(more) or any(True for _ in _tool_names(tools))


def _tool_names(tools: Tools) -> Iterator[tuple[Keys, str]]:
    """The places in the table `tools` that name a tool, but for tables of a tool's own."""
    for section in ("permissions", "minimum_permissions"):
        yield from ((("tools", section, name), name) for name in getattr(tools, section))
    yield from ((("tools", "timeouts", name), name) for name in tools.timeouts.model_extra or {})
    yield from ((("tools", "approval", "ask"), name) for name in tools.approval.ask if name != "*")


def _unknown_tools(tools: Tools, installed: Tables) -> Iterator[Problem]:
    own = [*Tools.model_fields, *installed]
    for name, table in (tools.model_extra or {}).items():
        if bare(name) in installed:
            yield from _undeclared(("tools", name), table, installed[bare(name)])
        elif missing_part(("tools", name)) is None:
            yield _no_tool(("tools", name), name, own)
    for keys, name in _tool_names(tools):
        if bare(name) not in installed:
            yield _no_tool(keys, name, [*installed, *Timeouts.model_fields] if keys[1] == "timeouts" else installed)


def _undeclared(keys: Keys, table: Any, declared: Collection[str] | None) -> Iterator[Problem]:
    """What stands in a plugin's table that its class does not declare as settings."""
    if declared is None or not isinstance(table, Mapping):
        return
    for name in table:
        if name not in declared:
            yield _unknown((*keys, name), list(declared))


def _no_tool(keys: Keys, name: str, known: Collection[str]) -> Problem:
    near = nearest(bare(name), known, cutoff=MISSPELT)
    text = f"{'.'.join(keys)}: no tool '{name}' is installed"
    return Problem("error", keys, f"{text}, did you mean '{near}'?") if near else Problem("warning", keys, text)


def bare(tool: str) -> str:
    """A tool's name as its table is called."""
    return tool.replace("-", "_")


def _unknown_in(section: Section, path: Keys, read: Tables = {}) -> Iterator[Problem]:  # noqa: B006 - never changed
    own = list(type(section).model_fields)
    known = [*own, *(read.get(".".join(path)) or ())]
    for key, value in (section.model_extra or {}).items():
        if isinstance(section, Tools | Timeouts) and missing_part((*path, key)) is None:
            continue  # see _unknown_tools
        if key in known:
            continue
        near = get_close_matches(key, known, n=1, cutoff=0.85) or missing_part((*path, key))
        if isinstance(value, ProviderTable) and not near:
            yield from _unknown_in(value, (*path, key), read)
        elif not section.open or near:
            yield _unknown((*path, key), known)
    for name in own:
        value = getattr(section, name)
        if isinstance(value, Section):
            yield from _unknown_in(value, (*path, name), read)


def _unknown(keys: Keys, known: list[str], *, others: bool = False) -> Problem:
    """`others`: it may be somebody else's, so that only a name that is very like one of ours is a mistake."""
    absent = missing_part(keys)
    if absent:
        return Problem("warning", keys, f"{'.'.join(keys)}: no effect, because this version has {absent}")
    near = nearest(keys[-1], known, cutoff=MISSPELT if others else 0.6)
    if near is None:
        return Problem("warning", keys, f"{'.'.join(keys)}: nothing reads this setting")
    return Problem("error", keys, f"{'.'.join(keys)}: did you mean {near}?")


def is_declared(keys: Keys) -> bool:
    """Whether the type of the setting at `keys` is known here."""
    model: Any = Settings
    for key in keys:
        field = model.model_fields.get(key) if _is_model(model) else None
        if field is None:
            model = _extra_type(model)
            if model is None:
                return False
        else:
            model = inner_type(field.annotation)
    return True


def _is_model(value: Any) -> bool:
    return isinstance(value, type) and issubclass(value, BaseModel)


def _extra_type(model: Any) -> Any:
    """What an undeclared key of `model` holds, when that is said; for a `dict[str, X]` it is X."""
    if get_origin(model) is dict:
        inner = get_args(model)[1]
        return None if inner is Any else inner
    from llmspell_core.config.settings import Providers

    return {Providers: ProviderTable, Timeouts: float}.get(model)


def contradictions(settings: Settings) -> Iterator[Problem]:
    """Settings that are right one by one and wrong together, and values that are probably mistakes."""
    yield from _engine(settings)
    yield from _providers(settings)
    yield from _large(settings)
    yield from _access(settings)
    yield from _hosts(settings)


def _engine(settings: Settings) -> Iterator[Problem]:
    known = ["lua", "javascript", "js", *(settings.engines.model_extra or {})]
    name = settings.default_engine
    if name not in known:
        near = get_close_matches(name, known, n=1)
        advice = f"did you mean {near[0]}?" if near else f"known are {', '.join(known)}"
        hint = f"Another engine needs a table [engines.{name}]."
        yield Problem("error", ("default_engine",), f'default_engine is "{name}": {advice}', hint)


def _providers(settings: Settings) -> Iterator[Problem]:
    tables = settings.providers.model_extra or {}
    name = settings.providers.default_provider
    if name is not None and name not in tables:
        near = get_close_matches(name, list(tables), n=1)
        advice = f"did you mean {near[0]}?" if near else "there is no such table"
        message = f'providers.default_provider is "{name}": {advice}'
        yield Problem(
            "error", ("providers", "default_provider"), message, f"Add [providers.{name}] or change the name."
        )
    for key, table in tables.items():
        yield from _provider(key, table)


def _provider(name: str, table: ProviderTable) -> Iterator[Problem]:
    from llmspell_core.config.environment import KEY_VARIABLES

    type_ = table.provider_type or name
    if type_ in KEY_VARIABLES and not table.api_key and not table.api_key_env:
        hint = f"Set {KEY_VARIABLES[type_]}, or providers.{name}.api_key_env."
        yield Problem("warning", ("providers", name), f"providers.{name} has no key", hint)
    if table.timeout_seconds and table.timeout_seconds > 600:
        message = f"providers.{name}.timeout_seconds: more than ten minutes for one model call"
        yield Problem("warning", ("providers", name, "timeout_seconds"), message)


def _large(settings: Settings) -> Iterator[Problem]:
    limits: dict[Keys, tuple[float | None, float]] = {
        ("runtime", "max_concurrent_scripts"): (settings.runtime.max_concurrent_scripts, 100),
        ("runtime", "script_timeout_seconds"): (settings.runtime.script_timeout_seconds, 3600),
        ("runtime", "state_persistence", "max_state_size_bytes"): (
            settings.runtime.state_persistence.max_state_size_bytes,
            100_000_000,
        ),
        ("engines", "lua", "max_memory_bytes"): (settings.engines.lua.max_memory_bytes, 1_000_000_000),
        ("engines", "javascript", "max_heap_size_bytes"): (
            settings.engines.javascript.max_heap_size_bytes,
            1_000_000_000,
        ),
        ("events", "buffer_size"): (settings.events.buffer_size, 1_000_000),
    }
    for keys, (value, limit) in limits.items():
        if value is not None and value > limit:
            yield Problem("warning", keys, f"{'.'.join(keys)}: {value} is very large (more than {limit})")


def _access(settings: Settings) -> Iterator[Problem]:
    from pathlib import Path

    if settings.runtime.security.allow_process_spawn:
        keys = ("runtime", "security", "allow_process_spawn")
        yield Problem("warning", keys, f"{'.'.join(keys)}: scripts may start programs")
    keys = ("tools", "file_operations", "allowed_paths")
    for path in settings.tools.file_operations.allowed_paths:
        if any(Path(path).is_relative_to(root) for root in ("/etc", "/root", "/sys")):
            yield Problem("warning", keys, f"{'.'.join(keys)}: {path} belongs to the system")
        elif path != "*" and not Path(path).exists():
            yield Problem("warning", keys, f"{'.'.join(keys)}: {path} does not exist")


def _hosts(settings: Settings) -> Iterator[Problem]:
    given = settings.tools.http_request
    lists = {"allowed_hosts": given.allowed_hosts, "blocked_hosts": given.blocked_hosts,
             "allow_private_networks": given.allow_private_networks or []}  # fmt: skip
    for name, texts in lists.items():
        if set(texts) <= {"*"}:
            continue
        from llmspell_core.errors import ConfigurationError
        from llmspell_core.policy.host import check_entries

        try:
            check_entries(texts, name)
        except ConfigurationError as error:
            yield Problem("error", ("tools", "http_request", name), error.message, error.hint)
