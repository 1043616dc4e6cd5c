"""What a console knows beside the live session: options of calls, names of tools and models, help on what is declared."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Any

from llmspell_core.cli.cursor import Cursor, chain_before, masked
from llmspell_core.script.declare import Builder, Function, Global, Handle, Param, Setter, camel, names_of, snake

if TYPE_CHECKING:
    from llmspell_core.script.api import ScriptApi

__all__ = ["Assistance", "asks"]

Declared = Global | Handle | Builder | Function | Setter
Names = Callable[[str], Iterable[str]]
Live = Callable[[str], Awaitable[list[str]]]
"""Completions that the session itself has: whole replacements of the last word."""
WORD = re.compile(r"[\w$.:]*\Z")
QUESTION = re.compile(r"\s*(?:\?\s*(?P<first>[\w$.:()]+)|(?P<last>[\w$.:()]+)\s*\?)\s*")
TOOL_CALL = re.compile(
    r"""Tool[.:](?:execute|invoke|call|executeAsync|execute_async)\(\s*["']([\w-]+)["']\s*,\s*\{[^{}]*\Z"""
)
NAMED = {"tool": "tools", "model": "models", "provider": "providers", "template": "templates", "point": "points"}
"""Which names a parameter, a setter or an option takes: told by the last word of its own, as in `allowed_tools`."""
OWN = {"Tool": "tools", "Template": "templates", "Provider": "providers"}
"""Whose `name` and `id` are names of what."""


def asks(text: str) -> bool:
    """Whether a line is a question: `Tool.execute?`, which is code in no language."""
    return QUESTION.fullmatch(text) is not None


class Assistance:
    """For one language.

    Args:
        names: "tools", "models", "providers", "templates" -> the names of them.
        parameters: a tool's name -> what it takes.
    """

    def __init__(self, api: ScriptApi, language: str, names: Names, parameters: Names, live: Live) -> None:
        self._api = api
        self._language = language
        self._names = names
        self._parameters = parameters
        self._live = live

    async def complete(self, text: str) -> tuple[int, list[str]]:
        """Where the replacement begins, and what it could be."""
        cursor = Cursor.of(text, self._language)
        typed = text[cursor.start :]
        if cursor.quoted:
            return cursor.start, [name for name in self._texts(cursor) if name.startswith(typed)]
        options = [key for key in self._options(cursor, text) if key.startswith(typed)]
        if options:
            return cursor.start, options
        plain, _ = masked(text, self._language)
        before = plain[: cursor.start].rstrip()
        if before[-1:] in {".", ":"} and before[:-1].rstrip().endswith(")"):
            chain = chain_before(before[:-1])
            return cursor.start, self._members_of(self._result(self._resolved(chain)), typed)
        return len(text) - len(WORD.findall(text)[0]), await self._live(text)

    # -- what is declared -----------------------------------------------------------------------------------------------

    def _resolved(self, chain: Sequence[str]) -> tuple[Declared | None, Declared | None]:
        """The last name of the chain, and whose member it is."""
        if not chain:
            return None, None
        found: Declared | None = next((g for g in self._api.globals if chain[0] in {g.name, *g.aliases}), None)
        owner: Declared | None = None
        for name in chain[1:]:
            owner = found if isinstance(found, Global | Handle) else self._result((found, owner))
            found = self._member(owner, name)
        return found, owner

    def _result(self, found: tuple[Declared | None, Declared | None]) -> Declared | None:
        """What a call of it gives."""
        made, owner = found
        if isinstance(made, Function):
            return self._api.handles.get(made.returns)
        return owner if isinstance(made, Setter) else made

    def _member(self, owner: Declared | None, name: str) -> Declared | None:
        for member in _members(owner):
            names = _spellings(member, self._language)
            if name in names or (getattr(member, "async_variant", False) and name.removesuffix("_async") in names):
                found: Declared = member
                return found
        return None

    def _members_of(self, owner: Declared | None, typed: str) -> list[str]:
        return [m.name for m in _members(owner) if m.name.startswith(typed)]

    # -- completion -----------------------------------------------------------------------------------------------------

    def _param(self, cursor: Cursor) -> tuple[Param | None, Declared | None, Declared | None]:
        """The parameter that is being written, of what, and its owner."""
        made, owner = self._resolved(cursor.chain)
        params = _params(made)
        return (params[cursor.argument] if cursor.argument < len(params) else None), made, owner

    def _options(self, cursor: Cursor, text: str) -> list[str]:
        if not cursor.keys or cursor.keys[-1] is not None:
            return []
        param, _, owner = self._param(cursor)
        tool = TOOL_CALL.search(text[: cursor.start])
        if tool and len(cursor.keys) == 1:
            return list(self._parameters(tool[1]))
        options = _keys(param, owner)
        if len(cursor.keys) > 1:
            setters = [s for b in _builders(owner) for s in b.setters if s.name == _snake_of(cursor.keys[-2], b)]
            options = [key for s in setters for p in s.param_list for key in _keys(p, None)]
        return [camel(key) for key in options] if self._language == "javascript" else options

    def _texts(self, cursor: Cursor) -> list[str]:
        key = next((each for each in reversed(cursor.keys) if each is not None), None)
        if key is not None:
            kind = _kind_named(key)
            return sorted(self._names(kind)) if kind else []
        param, made, owner = self._param(cursor)
        if param is None or (cursor.keys and param.type != "array"):
            return []
        if param.choices:
            return list(param.choices)
        kind = _kind_named(made.name if isinstance(made, Setter) else param.name)
        if kind is None and isinstance(owner, Global) and param.name in {"name", "id"}:
            kind = OWN.get(owner.name)
        return sorted(self._names(kind)) if kind else []

    # -- help -----------------------------------------------------------------------------------------------------------

    async def help(self, text: str) -> str:
        """An answer to a line that asks."""
        asked = QUESTION.fullmatch(text)
        word = (asked["first"] or asked["last"]) if asked else text
        chain = chain_before(word)
        found, owner = self._resolved(chain)
        if found is None:
            found, owner = await self._live_thing(word, chain)
        if found is None:
            return f"Nothing is declared as {word}. See: .globals"
        if isinstance(found, Global | Handle | Builder):
            return _page(found)
        return _entry(found, ".".join(chain), owner)

    async def _live_thing(self, word: str, chain: Sequence[str]) -> tuple[Declared | None, Declared | None]:
        """What a variable holds, or a member of it: told by the names of what it has."""
        for length in (len(chain), len(chain) - 1):
            path = ".".join(chain[:length])
            names = {name.rpartition(".")[2] for name in await self._live(f"{path}.")} if path else set()
            kind = self._kind(names)
            if kind is not None and length == len(chain):
                return kind, None
            if kind is not None:
                return self._member(kind, chain[-1]), kind
        return None, None

    def _kind(self, names: set[str]) -> Handle | Builder | None:
        kinds: list[Handle | Builder] = [*self._api.handles.values()]
        kinds += [builder for each in self._api.globals for builder in each.builders]
        fitting = [kind for kind in kinds if _own_names(kind) and _own_names(kind) <= names]
        return max(fitting, key=lambda kind: len(_own_names(kind)), default=None)


def _kind_named(name: str) -> str | None:
    """`allowed_tools`, `toolName` and `tool` take names of tools."""
    words = snake(name).removesuffix("_name").split("_")
    return NAMED.get(words[-1].removesuffix("s"))


def _members(owner: Declared | None) -> list[Any]:
    if isinstance(owner, Global):
        return [*owner.functions, *owner.builders, *owner.subglobals]
    if isinstance(owner, Builder):
        return [*owner.setters, owner.build]
    return list(owner.methods) if isinstance(owner, Handle) else []


def _own_names(kind: Handle | Builder) -> set[str]:
    return {member.name for member in _members(kind)}


def _spellings(member: Any, language: str) -> tuple[str, ...]:
    return names_of(member.name, getattr(member, "aliases", ()), language)


def _builders(owner: Declared | None) -> tuple[Builder, ...]:
    return owner.builders if isinstance(owner, Global) else (owner,) if isinstance(owner, Builder) else ()


def _params(made: Declared | None) -> tuple[Param, ...]:
    if isinstance(made, Setter):
        return made.param_list
    return made.params if isinstance(made, Function | Builder) else ()


def _keys(param: Param | None, owner: Declared | None) -> list[str]:
    """The options of a parameter; a table that may hold what a builder may has the builder's names."""
    if param is None:
        return []
    if isinstance(param.options, tuple):
        return list(param.options)
    return [setter.name for b in _builders(owner) for setter in b.setters] if param.options else []


def _snake_of(key: str | None, builder: Builder) -> str | None:
    return next((s.name for s in builder.setters if key in names_of(s.name, s.aliases, "javascript")), None)


def _signature(made: Function | Setter | Builder, path: str) -> str:
    inside = ", ".join(f"{p.name}{'' if p.required else '?'}: {p.type}" for p in _params(made))
    returns = f" -> {made.returns}" if isinstance(made, Function) else ""
    return f"{path}({inside}){returns}" + (", waits" if isinstance(made, Function) and made.blocking else "")


def _entry(made: Function | Setter, path: str, owner: Declared | None) -> str:
    from llmspell_core.cli.tables import facts

    rows = [(f"  {p.name}", p.type if p.required else f"{p.type}, optional", _about(p, owner)) for p in _params(made)]
    also = f"Also: {', '.join(made.aliases)}" if made.aliases else ""
    return "\n".join(filter(None, [_signature(made, path), " ".join(made.doc.split()), facts(rows), also]))


def _about(param: Param, owner: Declared | None) -> str:
    parts = [" ".join(param.doc.split())]
    parts += [f"One of: {', '.join(param.choices)}."] if param.choices else []
    parts += [f"Default: {param.default}."] if param.default is not None else []
    keys = _keys(param, owner)
    parts += [f"Keys: {', '.join(keys)}."] if keys else []
    return " ".join(filter(None, parts))


def _page(made: Global | Handle | Builder) -> str:
    from llmspell_core.cli.tables import facts

    rows = [(f"  {_signature(m, m.name) if not isinstance(m, Global) else m.name}", m.doc) for m in _members(made)]
    fields = f"Fields: {', '.join(made.fields)}" if isinstance(made, Handle) and made.fields else ""
    head = _signature(made, made.name) if isinstance(made, Builder) else made.name
    short = [(name, " ".join(doc.split())) for name, doc in rows]
    return "\n".join(filter(None, [head, " ".join(made.doc.split()), fields, facts(short)]))
