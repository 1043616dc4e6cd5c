"""The script global `State`: named values, `<scope>:<key>`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from llmspell_core.errors import SecurityError
from llmspell_core.script.declare import Function, Global, Param
from llmspell_core.state import full_key

if TYPE_CHECKING:
    from llmspell_core.script.scope import ScriptScope

OWN_KEYS = ("aggregated", "final_output", "state", "error")
SCOPES = ("global:", "session:", "workflow:", "agent:", "tool:", "user:", "custom:", "shared:")
SCOPE = Param("scope", "string", doc="`global`, `custom`, `user:42`, ...")
KEY = Param("key", "string")
VALUE = Param("value", "any", required=False, doc="Any plain value.")
ID = Param("id", "string")


RESERVED = ("approval:", "approval_used:")
"""Runs that wait for a person's consent: no script reads or writes them."""


WORKFLOW = ":workflow:"


def scoped(scope: str, key: str) -> str:
    """The full key of two parts, which is that of no other two.

    But for what workflows write: `workflow` with `ID:STEP`, `workflow:ID` with `STEP` and `custom` with `:workflow:ID:STEP`
    are one. A leading colon of a key does not count: `:x` and `x` are one key.

    Raises:
        SecurityError: what is there is not a script's.
    """
    if scope == "custom" and key.startswith(WORKFLOW):
        made = key[1:]
    else:
        made = _prefix(scope) + key.lstrip(":")
    if made.startswith(RESERVED):
        raise SecurityError(
            f"'{made}' is not a script's: runs that wait for consent are kept there",
            violation_type="state_denied",
            hint="Use another scope, e.g. 'custom'.",
        )
    return made


def _prefix(scope: str) -> str:
    kind, _, id_ = scope.partition(":")
    return full_key(kind, id_, "") if kind == "workflow" and id_ else full_key(scope, "")


def any_key(key: str) -> str:
    """A key that begins with a known scope is whole; any other lives in `global`."""
    return key if key.startswith(SCOPES) else scoped("global", key)


async def save(scope: ScriptScope, where: str, key: str, value: Any) -> None:
    await scope.runtime.state.set(scoped(where, key), value)


async def load(scope: ScriptScope, where: str, key: str) -> Any:
    return await scope.runtime.state.get(scoped(where, key))


async def delete(scope: ScriptScope, where: str, key: str | None) -> bool:
    return bool(await scope.runtime.state.delete(any_key(where) if key is None else scoped(where, key)))


async def _keys(scope: ScriptScope, prefix: str = "") -> list[str]:
    return [key for key in await scope.runtime.state.keys(prefix) if not key.startswith(RESERVED)]


async def list_keys(scope: ScriptScope, where: str | None) -> list[str]:
    prefix = "" if where is None else _prefix(where)
    return [key[len(prefix) :] for key in await _keys(scope, prefix)]


async def set_value(scope: ScriptScope, key: str, value: Any) -> None:
    await scope.runtime.state.set(any_key(key), value)


async def get_value(scope: ScriptScope, key: str) -> Any:
    return await scope.runtime.state.get(any_key(key))


async def exists(scope: ScriptScope, key: str) -> bool:
    return any_key(key) in await scope.runtime.state.keys(any_key(key))


async def all_values(scope: ScriptScope) -> dict[str, Any]:
    return {key: await scope.runtime.state.get(key) for key in await _keys(scope)}


async def workflow_get(scope: ScriptScope, id_: str, step: str) -> Any:
    value = await scope.runtime.state.get(full_key("workflow", id_, step))
    return value["output"] if isinstance(value, dict) and "step_name" in value and "output" in value else value


async def workflow_list(scope: ScriptScope, id_: str) -> list[str]:
    """What an execution writes about itself as a whole is not a step, unless a step is called so."""
    prefix = full_key("workflow", id_, "")
    keys = [key[len(prefix) :] for key in await scope.runtime.state.keys(prefix)]
    return [key for key in keys if ":" not in key and (key not in OWN_KEYS or f"step:{key}:output" in keys)]


async def agent_get(scope: ScriptScope, id_: str, key: str) -> Any:
    return await scope.runtime.state.get(full_key("agent", id_, key))


async def agent_set(scope: ScriptScope, id_: str, key: str, value: Any) -> None:
    await scope.runtime.state.set(full_key("agent", id_, key), value)


async def tool_get(scope: ScriptScope, id_: str, key: str) -> Any:
    return await scope.runtime.state.get(full_key("tool", id_, key))


async def tool_set(scope: ScriptScope, id_: str, key: str, value: Any) -> None:
    await scope.runtime.state.set(full_key("tool", id_, key), value)


GLOBAL = Global(
    "State",
    doc="Named values, shared by all scripts of a runtime. They are kept in memory and end with it: `llmspell run` has one "
    "for each script.",
    functions=(
        Function("save", save, (SCOPE, KEY, VALUE), "null", "Store a value, until the runtime ends."),
        Function("load", load, (SCOPE, KEY), "any", "The value, or nil."),
        Function(
            "delete",
            delete,
            (SCOPE, Param("key", "string", required=False)),
            "boolean",
            "Remove a value; with one argument, by its full key. Whether it was there.",
        ),
        Function(
            "list_keys",
            list_keys,
            (Param("scope", "string", required=False),),
            "array",
            "Keys of a scope, or all full keys.",
        ),
        Function(
            "set",
            set_value,
            (KEY, VALUE),
            "null",
            "`save` under a full key, or under `global:`.",
            aliases=("write",),
        ),
        Function("get", get_value, (KEY,), "any", "The value of a full key, or of `global:`.", aliases=("read",)),
        Function("exists", exists, (KEY,), "boolean", "Whether there is such a key."),
        Function("keys", lambda scope: list_keys(scope, None), returns="array", doc="All full keys."),
        Function("all", all_values, returns="object", doc="Everything: full key -> value."),
        Function("workflow_get", workflow_get, (ID, Param("step", "string")), "any", "A step's output, or nil."),
        Function("workflow_list", workflow_list, (ID,), "array", "The steps that have an output."),
        Function("agent_get", agent_get, (ID, KEY), "any", "A value of an agent."),
        Function("agent_set", agent_set, (ID, KEY, VALUE), "null", "Store a value of an agent."),
        Function("tool_get", tool_get, (ID, KEY), "any", "A value of a tool."),
        Function("tool_set", tool_set, (ID, KEY, VALUE), "null", "Store a value of a tool."),
    ),
)
