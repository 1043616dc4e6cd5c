"""The declarative description of script globals, from which everything else is generated.

One description, written once in Python, becomes the Lua global, the JavaScript global, argument validation, aliases,
completion, annotation files and the reference page. A complete third-party global:

    async def forecast(scope, city, days):
        return await scope.runtime.invoke_tool("weather", {"city": city, "days": days}, scope.context)

    GLOBAL = Global(
        "Weather",
        doc="Weather forecasts.",
        functions=(
            Function(
                "forecast", forecast, blocking=True, async_variant=True, returns="object",
                params=(Param("city", "string"), Param("days", "integer", default=3)),
                doc="The forecast for a city.",
            ),
        ),
    )

    # pyproject.toml:  [project.entry-points."llmspell.globals"]   Weather = "llmspell_global_weather:GLOBAL"

    Weather.forecast("Oslo")                    -- Lua; and Weather.forecast_async("Oslo"):await()
    await Weather.forecast("Oslo", 5)           // JavaScript

Handlers are called as `handler(scope, *arguments)`, methods of handles as `handler(scope, object, *arguments)`, a builder's
`build` as `handler(scope, fields)`. Arguments are validated, defaulted and in the declared order. Handlers may be plain
functions (answered at once: the fast way) or `async def`. They return plain data, dataclasses, pydantic models, objects
of a declared handle (`returns="Agent"`, or `[Agent]` for a list of them), or an async iterator (`returns="stream"`).

Objects that live in the host are handles:

    Handle("Counter", fields=("name",), methods=(Function("add", lambda scope, counter, n: counter.add(n), (Param("n", "integer"),)),))
    Function("counter", lambda scope, name: Counter(name), (Param("name", "string"),), returns="Counter")

Builders are pure data until `build`:

    Builder("builder", build=Function("build", make_agent, returns="Agent"), setters=(
        Setter("model", Param("model", "string")),
        Setter("tool", Param("tool", "string"), field="tools", mode="append"),
        Setter("custom_config", Param("config", "object"), mode="merge"),
    ))
    Agent.builder():model("openai/gpt-4o"):tool("calculator"):build()

Callbacks: a parameter of type "function" arrives as an integer id; `scope.callback(id)` makes an async callable of it.
`Param("def", "object", callbacks=("handler",))` allows functions under that key (at any depth): they arrive as a
`Reference`, which `scope.callback` takes as well; data that looks like one is data (see `reference`).
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

__all__ = ["Builder", "Function", "Global", "Handle", "Param", "Setter", "camel", "names_of", "snake"]

ParamType = Literal["string", "integer", "number", "boolean", "object", "array", "any", "function", "handle"]
TYPES = ("string", "integer", "number", "boolean", "object", "array", "any", "function", "handle")

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_LUA_KEYWORDS = {
    *("and", "break", "do", "else", "elseif", "end", "false", "for", "function", "goto", "if", "in", "local", "nil"),
    *("not", "or", "repeat", "return", "then", "true", "until", "while"),
}


def camel(name: str) -> str:
    """`create_from_template` -> `createFromTemplate`; other names unchanged."""
    head, *tail = name.split("_")
    if not head:
        return name
    return head + "".join(word[:1].upper() + word[1:] for word in tail)


def snake(name: str) -> str:
    """`getSection` -> `get_section`; names that begin with a capital unchanged."""
    return name if name[:1].isupper() else re.sub(r"(?<=[a-z0-9])([A-Z])", r"_\1", name).lower()


def names_of(name: str, aliases: tuple[str, ...], language: str) -> tuple[str, ...]:
    """Every spelling under which a member exists in `language` ("lua", "javascript"), the declared name first."""
    found = dict.fromkeys((name, *aliases))
    for known in tuple(found):
        found.setdefault(snake(known))
        if language == "javascript":
            found.setdefault(camel(known))
    return tuple(found)


def _check_name(name: str, what: str) -> None:
    if not _NAME.fullmatch(name):
        raise ValueError(f"{what} {name!r} is not an identifier")


def _check_unique(names: list[str], where: str) -> None:
    twice = {name for name in names if names.count(name) > 1}
    if twice:
        raise ValueError(f"{where} declares {min(twice)!r} twice")


@dataclass(frozen=True, slots=True)
class Param:
    """One positional argument.

    Args:
        type: "object" is a table with string keys, "array" a list; both accept an empty Lua table.
            "integer" also accepts an integral float. "handle" is an object of the handle named in `handle`.
        required: False, or any `default`, makes it optional; `nil` then means the default.
        callbacks: keys under which an object or array may hold functions, at any depth; ("*",) for every key.
        choices: the only strings allowed.
        options: the keys of a table of options; another one is an error that names the nearest. True: any key.
            JavaScript may also write them in camelCase; they arrive in snake_case.
    """

    name: str
    type: ParamType = "any"
    required: bool = True
    default: Any = None
    doc: str = ""
    callbacks: tuple[str, ...] = ()
    handle: str | None = None
    choices: tuple[str, ...] = ()
    options: bool | tuple[str, ...] = False

    def __post_init__(self) -> None:
        _check_name(self.name, "parameter")
        if self.type not in TYPES:
            raise ValueError(
                f"parameter {self.name!r} has the unknown type {self.type!r}; types are {', '.join(TYPES)}"
            )
        if (self.type == "handle") != (self.handle is not None):
            raise ValueError(f"parameter {self.name!r}: type 'handle' and the name of a handle belong together")
        if self.default is not None:
            object.__setattr__(self, "required", False)


@dataclass(frozen=True, slots=True)
class Function:
    """A function of a global, or a method of a handle.

    Args:
        handler: None only for what a global's `sources` define; it is declared for the documentation.
        returns: a type word, a handle's name, `[Name]` for a list of handles, or "stream".
        blocking: may wait for I/O: a Promise in JavaScript, a wait in Lua.
        async_variant: Lua also gets `<name>_async`, which returns a handle with `await`, `and_then`, `catch`.
        post: the VM does not wait for an answer and never sees an error.
        varargs: further arguments are passed on unchecked.
    """

    name: str
    handler: Callable[..., Any] | None = None
    params: tuple[Param, ...] = ()
    returns: str = "any"
    doc: str = ""
    blocking: bool = False
    aliases: tuple[str, ...] = ()
    async_variant: bool = False
    post: bool = False
    varargs: bool = False

    def __post_init__(self) -> None:
        _check_name(self.name, "function")
        if not isinstance(self.params, tuple):
            raise TypeError(f"function {self.name!r}: params must be a tuple, got {type(self.params).__name__}")
        _check_unique([param.name for param in self.params], f"function {self.name!r}")
        if self.async_variant and not self.blocking:
            raise ValueError(f"function {self.name!r} has an async variant, so it must be blocking")


@dataclass(frozen=True, slots=True)
class Setter:
    """A builder's fluent method.

    Args:
        params: what it takes. One: its value is stored; several: an object of them; none: `value` is stored.
        mode: "set" replaces the field, "append" adds to a list, "merge" copies an object's keys into the fields
            (or into the object under `field` when that is given).
        field: under which name `build` receives it; the setter's own by default.
    """

    name: str
    params: Param | tuple[Param, ...] = ()
    mode: Literal["set", "append", "merge"] = "set"
    aliases: tuple[str, ...] = ()
    field: str | None = None
    value: Any = None
    doc: str = ""

    def __post_init__(self) -> None:
        _check_name(self.name, "setter")
        if isinstance(self.params, Param):
            object.__setattr__(self, "params", (self.params,))
        if self.mode not in {"set", "append", "merge"}:
            raise ValueError(f"setter {self.name!r} has the unknown mode {self.mode!r}")

    @property
    def param_list(self) -> tuple[Param, ...]:
        return self.params if isinstance(self.params, tuple) else (self.params,)


@dataclass(frozen=True, slots=True)
class Builder:
    """A function of a global (named `name`) that returns a builder; `params` of that function become fields too."""

    name: str
    setters: tuple[Setter, ...]
    build: Function
    params: tuple[Param, ...] = ()
    aliases: tuple[str, ...] = ()
    doc: str = ""

    def __post_init__(self) -> None:
        _check_name(self.name, "builder")
        names = [n for s in self.setters for n in (s.name, *s.aliases)]
        _check_unique([*names, self.build.name, *self.build.aliases], f"builder {self.name!r}")


@dataclass(frozen=True, slots=True)
class Handle:
    """A kind of object that lives in the host; scripts see its `fields` (attributes or keys, read once) and methods."""

    name: str
    methods: tuple[Function, ...] = ()
    doc: str = ""
    fields: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        _check_name(self.name, "handle")
        _check_unique([n for m in self.methods for n in (m.name, *m.aliases)], f"handle {self.name!r}")


@dataclass(frozen=True, slots=True)
class Global:
    """One name that scripts find without importing anything.

    Args:
        index: called with an unknown name that a script reads from the global (`Tool["calculator"]`).
        sources: language -> code for what is pure VM work. Lua: a chunk called with `(G, vm)`; JavaScript: a function
            body with the parameters `G` and `vm`. `G` is the finished global, `vm` what the engine offers.
        needs: kinds of component (`"workflows"`) without any of which the global would be of no use; then it is nil.
        enabled: for what only code can say: whether this runtime has the subsystem; if not, the global is nil. A global
            that has it is imported at the start of every script, one that only `needs` something is not.
        hidden: for the engines' own use; not injected, not documented.
    """

    name: str
    functions: tuple[Function, ...] = ()
    handles: tuple[Handle, ...] = ()
    builders: tuple[Builder, ...] = ()
    constants: Mapping[str, Any] = field(default_factory=dict)
    subglobals: tuple[Global, ...] = ()
    doc: str = ""
    sources: Mapping[str, str] = field(default_factory=dict)
    needs: tuple[str, ...] = ()
    enabled: Callable[[Any], bool] | None = None
    aliases: tuple[str, ...] = ()
    index: Function | None = None
    hidden: bool = False

    def __post_init__(self) -> None:
        _check_name(self.name, "global")
        members = [n for f in self.functions for n in (f.name, *f.aliases)]
        members += [n for b in self.builders for n in (b.name, *b.aliases)]
        members += [*self.constants, *(g.name for g in self.subglobals)]
        _check_unique(members, f"global {self.name!r}")
        for function in self.functions:
            if function.name in _LUA_KEYWORDS:
                raise ValueError(
                    f"global {self.name!r}: {function.name!r} is a keyword of Lua; declare it as an alias only"
                )
