"""The script global `JSON`: `parse`, `stringify`, and path queries."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from llmspell_core.errors import TimeoutError
from llmspell_core.script.declare import Function, Global, Param
from llmspell_core.script.query import query
from llmspell_core.time_limit import within

if TYPE_CHECKING:
    from llmspell_core.script.scope import ScriptScope

AT_ONCE = 0.01
"""Seconds after which a query is begun again in a thread, where it does not keep others waiting."""
MOST_SECONDS = 10.0

LUA = """
local G, vm = ...
local encode, decode, error = vm.json_encode, vm.json_decode, error

local function stringify(value, pretty)
  local ok, text = encode(value, pretty)
  if not ok then error("JSON.stringify: " .. text, 2) end
  return text
end

local function parse(text)
  local ok, value = decode(text)
  if not ok then error(value, 2) end
  return value
end

G.stringify, G.encode, G.parse, G.decode = stringify, stringify, parse, parse

-- Marks a table as a list, so that an empty one is written as [].
function G.array(list)
  list = list or {}
  vm.arrays[list] = true
  return list
end
"""

JAVASCRIPT = """
const native = globalThis.JSON;
const { parse, stringify } = native, { SyntaxError } = globalThis;
const own = {
  parse(text, reviver) {
    const source = typeof text === "string" ? text : `${text}`;
    try { return parse(source, reviver); } catch (error) {
      let wrong = null;
      try { parse(source); } catch (native) { wrong = native; }
      if (!(wrong instanceof SyntaxError)) throw error; // of the reviver
      const problem = vm.jsonProblem(text) ?? wrong.message;
      throw vm.below(new SyntaxError(`JSON parse error: ${problem}`), own.parse);
    }
  },
  stringify(value, replacer, space) {
    return replacer === true ? stringify(value, null, 2) : stringify(value, replacer, space);
  },
  array(list) { return list ?? []; },
};
const add = (name, value) =>
  Object.defineProperty(G, name, { value, writable: true, enumerable: false, configurable: true });
add("parse", own.parse);
add("stringify", own.stringify);
add("decode", own.parse);
add("encode", own.stringify);
add("array", own.array);
"""


def _query(_: ScriptScope, value: Any, expression: str) -> Any:
    try:
        return query(value, expression, AT_ONCE)
    except TimeoutError:
        return asyncio.to_thread(query, value, expression, within(MOST_SECONDS))


GLOBAL = Global(
    "JSON",
    doc="JSON text, and questions to data.",
    functions=(
        Function(
            "parse",
            None,
            (Param("text", "string"),),
            aliases=("decode",),
            doc="The value of JSON text; raises 'JSON parse error: ...'.",
        ),
        Function(
            "stringify",
            None,
            (Param("value"), Param("pretty", "boolean", required=False)),
            returns="string",
            aliases=("encode",),
            doc="JSON text of a value.",
        ),
        Function(
            "array", None, (Param("list", "array", required=False),), returns="array", doc="A list, also if empty."
        ),
        Function(
            "query",
            _query,
            (
                Param("value"),
                Param("expression", "string", doc=".a.b[0], .[], map(.x), select(.n > 1), length, keys, |"),
            ),
            doc="What a path expression finds in a value.",
        ),
    ),
    sources={"lua": LUA, "javascript": JAVASCRIPT},
)
