"""All globals of a runtime together: the manifest the engines build from, and the operations the host answers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from llmspell_core.script.declare import Builder, Function, Global, Handle, Param, Setter, names_of
from llmspell_core.script.globals.environment import FILE, SCRIPT

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from llmspell_core.desk import Desk

__all__ = ["Operation", "ScriptApi", "Summary", "summarize"]

LANGUAGES = ("lua", "javascript")


@dataclass(frozen=True, slots=True)
class Operation:
    """One thing that a worker may ask for.

    `label` is what messages call it (`Agent:execute`); `handle` is the kind of object that argument 0 must be.
    """

    op: str
    label: str
    handler: Callable[..., Any]
    params: tuple[Param, ...]
    returns: str
    handle: str | None = None
    varargs: bool = False
    builder: Builder | None = None

    @property
    def containers(self) -> dict[str, Param]:
        """A builder's fields that are lists or objects: an empty Lua table does not say which."""
        setters = self.builder.setters if self.builder is not None else ()
        single = {s.field or s.name: s.param_list[0] for s in setters if s.mode == "set" and len(s.param_list) == 1}
        return {name: param for name, param in single.items() if param.type in {"array", "object"}}


@dataclass(frozen=True, slots=True)
class Summary:
    """A global that need not be imported until a script calls it: what `summarize` kept, and how to load it."""

    name: str
    data: dict[str, Any]
    load: Callable[[], Global]


def summarize(declared: Global) -> dict[str, Any]:
    """What an engine has to know of a global, as plain data for the catalog.

    {"conditional": whether only its `enabled` knows if it exists, "needs": kinds of component,
    "manifests": {language: {"global", "handles"}}}
    """
    api = ScriptApi([declared] if declared.enabled is None else [])
    manifests = {}
    for language in LANGUAGES if declared.enabled is None else ():
        whole = api.manifest(language)
        manifests[language] = {
            "global": whole["globals"][0],
            "handles": {h: whole["handles"][h] for h in _own(declared)},
        }
    return {"conditional": declared.enabled is not None, "needs": list(declared.needs), "manifests": manifests}


def _own(declared: Global) -> list[str]:
    names = [handle.name for handle in declared.handles]
    return names + [name for sub in declared.subglobals for name in _own(sub)]


class ScriptApi:
    """The globals that scripts of one runtime see.

    Args:
        globals_: declarations, or summaries of them; those whose `enabled(runtime)` is false are left out.
        runtime: handed to `enabled`; may be None in tests.
    """

    def __init__(self, globals_: Iterable[Global | Summary], runtime: Desk | None = None) -> None:
        self._parts: list[Global | Summary] = [*(g for g in globals_ if _is_enabled(g, runtime)), SCRIPT, FILE]
        self.handles: dict[str, Handle] = {}
        self.operations: dict[str, Operation] = {}
        self._owners: dict[str, Summary] = {}
        self._manifests: dict[str, dict[str, Any]] = {}
        for part in self._parts:
            if isinstance(part, Summary):
                self._note(part)
            else:
                self._add_global(part, part.name)

    @property
    def globals(self) -> tuple[Global, ...]:
        """The declarations; imports those that were only summarized."""
        for part in list(self._parts):
            if isinstance(part, Summary):
                self._load(part)
        return tuple(part for part in self._parts if isinstance(part, Global))

    def find(self, op: str) -> Operation | None:
        """The operation, importing its global if that has not happened yet. Raises: PluginError."""
        known = self.operations.get(op)
        owner = self._owners.get(op.partition("#" if "#" in op else ".")[0]) if known is None else None
        if owner is not None and owner in self._parts:
            self._load(owner)
        return self.operations.get(op)

    def _note(self, summary: Summary) -> None:
        self._owners[summary.name] = summary
        manifests = summary.data["manifests"]
        for name, handle in next(iter(manifests.values()))["handles"].items():
            self._owners[name] = summary
            self.handles[name] = Handle(name, fields=tuple(handle["fields"]))

    def _load(self, summary: Summary) -> None:
        declared = summary.load()
        self._parts[self._parts.index(summary)] = declared
        for name in _own(declared):
            self.handles.pop(name, None)
        self._add_global(declared, declared.name)

    def manifest(self, language: str) -> dict[str, Any]:
        """Plain data from which an engine builds its prelude.

        {"globals": [{name, aliases, hidden, constants, index, source, functions: [F], builders: [B], subglobals: [...]}],
         "handles": {name: {"fields": [...], "methods": [F]}}}
        F = {name, names, op, params: [P], returns, blocking, async, post, varargs, vm}; `vm`: defined by the source
        B = {name, names, params: [P], setters: [{name, names, params, mode, field, value}], build: F}
        P = {name, type, required, callbacks, choices, default, options}
        `names` holds every spelling in that language, aliases included, `name` first.
        """
        if language not in self._manifests:
            parts = self._parts if language in LANGUAGES else self.globals
            made = [_part_data(part, language) for part in parts]
            handles = {name: data for part in made for name, data in part["handles"].items()}
            self._manifests[language] = {"globals": [part["global"] for part in made], "handles": handles}
        return self._manifests[language]

    def _add_global(self, declared: Global, path: str) -> None:
        for function in declared.functions:
            self._add(function, f"{path}.{function.name}", f"{path}.{function.name}")
        if declared.index is not None:
            self._add(declared.index, f"{path}.[]", f"{path}[...]")
        for builder in declared.builders:
            op = f"{path}.{builder.name}.{builder.build.name}"
            self._add(builder.build, op, f"{path}.{builder.name}():{builder.build.name}", builder=builder)
        for handle in declared.handles:
            self._add_handle(handle)
        for sub in declared.subglobals:
            self._add_global(sub, f"{path}.{sub.name}")

    def _add_handle(self, handle: Handle) -> None:
        if handle.name in self.handles and self.handles[handle.name] is not handle:
            raise ValueError(f"two globals declare a handle {handle.name!r}")
        self.handles[handle.name] = handle
        for method in handle.methods:
            self._add(method, f"{handle.name}#{method.name}", f"{handle.name}:{method.name}", handle=handle.name)

    def _add(
        self, function: Function, op: str, label: str, *, handle: str | None = None, builder: Builder | None = None
    ) -> None:
        if function.handler is None:
            return
        if op in self.operations:
            raise ValueError(f"two declarations of {op}")
        self.operations[op] = Operation(
            op, label, function.handler, function.params, function.returns, handle, function.varargs, builder
        )


def _param_data(param: Param) -> dict[str, Any]:
    return {
        "name": param.name,
        "type": param.type,
        "required": param.required,
        "callbacks": list(param.callbacks),
        "choices": list(param.choices),
        "default": param.default,
        "options": bool(param.options),
    }


def _function_data(function: Function, op: str, language: str) -> dict[str, Any]:
    return {
        "name": function.name,
        "names": list(names_of(function.name, function.aliases, language)),
        "op": op,
        "params": [_param_data(p) for p in function.params],
        "returns": function.returns,
        "blocking": function.blocking,
        "async": function.async_variant,
        "post": function.post,
        "varargs": function.varargs,
        "vm": function.handler is None,
    }


def _setter_data(setter: Setter, language: str) -> dict[str, Any]:
    return {
        "name": setter.name,
        "names": list(names_of(setter.name, setter.aliases, language)),
        "params": [_param_data(p) for p in setter.param_list],
        "mode": setter.mode,
        "field": setter.field if setter.field is not None or setter.mode == "merge" else setter.name,
        "value": setter.value,
    }


def _builder_data(builder: Builder, path: str, language: str) -> dict[str, Any]:
    return {
        "name": builder.name,
        "names": list(names_of(builder.name, builder.aliases, language)),
        "params": [_param_data(p) for p in builder.params],
        "setters": [_setter_data(s, language) for s in builder.setters],
        "build": _function_data(builder.build, f"{path}.{builder.name}.{builder.build.name}", language),
    }


def _global_data(declared: Global, path: str, language: str) -> dict[str, Any]:
    return {
        "name": declared.name,
        "aliases": list(declared.aliases),
        "hidden": declared.hidden,
        "constants": dict(declared.constants),
        "index": _function_data(declared.index, f"{path}.[]", language) if declared.index else None,
        "source": declared.sources.get(language),
        "functions": [_function_data(f, f"{path}.{f.name}", language) for f in declared.functions],
        "builders": [_builder_data(b, path, language) for b in declared.builders],
        "subglobals": [_global_data(g, f"{path}.{g.name}", language) for g in declared.subglobals],
    }


def _is_enabled(part: Global | Summary, runtime: Desk | None) -> bool:
    needs = part.data.get("needs", ()) if isinstance(part, Summary) else part.needs
    if needs and runtime is not None and not any(runtime.registry.names(kind) for kind in needs):
        return False
    return isinstance(part, Summary) or part.enabled is None or part.enabled(runtime)


def _part_data(part: Global | Summary, language: str) -> dict[str, Any]:
    if isinstance(part, Summary):
        kept: dict[str, Any] = part.data["manifests"][language]
        return kept
    return {"global": _global_data(part, part.name, language), "handles": _handles_data(part, language)}


def _handles_data(declared: Global, language: str) -> dict[str, Any]:
    data = {
        handle.name: {
            "fields": list(handle.fields),
            "methods": [_function_data(m, f"{handle.name}#{m.name}", language) for m in handle.methods],
        }
        for handle in declared.handles
    }
    for sub in declared.subglobals:
        data |= _handles_data(sub, language)
    return data
