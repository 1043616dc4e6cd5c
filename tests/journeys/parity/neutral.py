"""One neutral text, two scripts: expressions in Python's syntax, written out as Lua and as JavaScript.

Names with a capital are globals, `x.method()` on anything else is a method of an object, `kind(x)` is a type word,
`keys(x)` the sorted keys of a table, `fails(lambda: ...)` the message of an error, `lambda` a function.
Declared names are used as they are in Lua and in camelCase in JavaScript.
"""

from __future__ import annotations

import ast
import json

from llmspell_core.script.declare import camel

HELPERS = {"kind", "keys", "fails", "has", "pick"}

LUA_PRELUDE = """
local function cleaned(e) return (tostring(e):gsub("^[^:\\n]*:%d+: ", "")) end
local function kind(v) local t = type(v) return t == "userdata" and "table" or t end
local function keys(t) local k = {} for key in pairs(t) do k[#k + 1] = tostring(key) end table.sort(k) return table.concat(k, " ") end
local function fails(f) local ok, e = pcall(f) return ok and "no error" or cleaned(e) end
local function has(t, v) for _, x in ipairs(t) do if x == v then return true end end return false end
local function pick(t, n) local r = {} for i, x in ipairs(t) do r[i] = x[n] end table.sort(r) return JSON.array(r) end
local results = {}
local function run(i, f) local ok, v = pcall(f) results[i] = ok and {ok = true, value = v} or {ok = false, value = cleaned(v)} end
"""

JS_PRELUDE = """
const cleaned = (e) => String(e.message ?? e);
const kind = (v) => v === null || v === undefined ? "nil" : typeof v === "object" ? "table" : typeof v;
const keys = (t) => Object.keys(t).sort().join(" ");
const fails = async (f) => { try { await f(); } catch (e) { return cleaned(e); } return "no error"; };
const has = (t, v) => t.includes(v);
const pick = (t, n) => t.map((x) => x[n]).sort();
const results = [];
const run = async (i, f) => {
  try { results.push({ok: true, value: await f()}); } catch (e) { results.push({ok: false, value: cleaned(e)}); }
};
"""


def lua_script(cases: list[str]) -> str:
    bodies = (f"run({i}, function() {_body(code, _Lua())} end)" for i, code in enumerate(cases, 1))
    return LUA_PRELUDE + "\n".join(bodies) + "\nreturn results"


def js_script(cases: list[str]) -> str:
    bodies = (f"await run({i}, async () => {{ {_body(code, _JavaScript())} }});" for i, code in enumerate(cases, 1))
    return JS_PRELUDE + "\n".join(bodies) + "\nreturn results;"


def members(code: str) -> set[object]:
    """The names of all methods and functions that are called, and all constants."""
    found: set[object] = {node.attr for node in ast.walk(ast.parse(code)) if isinstance(node, ast.Attribute)}
    found |= {node.value for node in ast.walk(ast.parse(code)) if isinstance(node, ast.Constant)}
    return found | {node.id for node in ast.walk(ast.parse(code)) if isinstance(node, ast.Name)}


def _body(code: str, writer: _Lua) -> str:
    statements = ast.parse(code).body
    lines = [writer.statement(s) for s in statements[:-1]]
    last = statements[-1]
    if isinstance(last, ast.Expr):
        return " ".join([*lines, f"return {writer.text(last.value)}"])
    return " ".join([*lines, writer.statement(last)])


class _Lua:
    end = ""

    def statement(self, node: ast.stmt) -> str:
        if isinstance(node, ast.Assign):
            target = node.targets[0]
            assert isinstance(target, ast.Name)
            return f"local {target.id} = {self.text(node.value)}{self.end}"
        assert isinstance(node, ast.Expr), ast.dump(node)
        return f"local _ = {self.text(node.value)}{self.end}"

    def text(self, node: ast.expr) -> str:
        written: str = getattr(self, f"of_{type(node).__name__.lower()}")(node)
        return written

    def of_constant(self, node: ast.Constant) -> str:
        return "nil" if node.value is None else json.dumps(node.value, ensure_ascii=False)

    def of_name(self, node: ast.Name) -> str:
        return node.id

    def of_list(self, node: ast.List) -> str:
        return "{" + ", ".join(map(self.text, node.elts)) + "}"

    def of_dict(self, node: ast.Dict) -> str:
        pairs = zip(node.keys, node.values, strict=True)
        return "{" + ", ".join(f"[{self.text(k)}] = {self.text(v)}" for k, v in pairs if k is not None) + "}"

    def of_compare(self, node: ast.Compare) -> str:
        sign = {ast.Eq: "==", ast.NotEq: "~=", ast.Gt: ">", ast.GtE: ">="}[type(node.ops[0])]
        return f"({self.text(node.left)} {sign} {self.text(node.comparators[0])})"

    def of_subscript(self, node: ast.Subscript) -> str:
        index = node.slice
        if isinstance(index, ast.Constant) and isinstance(index.value, int):
            return f"{self.text(node.value)}[{index.value + 1}]"
        return f"{self.text(node.value)}[{self.text(index)}]"

    def of_attribute(self, node: ast.Attribute) -> str:
        return f"{self.text(node.value)}.{node.attr}"

    def of_lambda(self, node: ast.Lambda) -> str:
        return f"(function({self.names(node)}) return {self.text(node.body)} end)"

    def of_call(self, node: ast.Call) -> str:
        args = ", ".join(map(self.text, node.args))
        if isinstance(node.func, ast.Name):
            return f"#({args})" if node.func.id == "len" else f"{node.func.id}({args})"
        assert isinstance(node.func, ast.Attribute)
        target = node.func.value
        mark = "." if isinstance(target, ast.Name) and target.id[0].isupper() else ":"
        return f"{self.text(target)}{mark}{node.func.attr}({args})"

    @staticmethod
    def names(node: ast.Lambda) -> str:
        return ", ".join(arg.arg for arg in node.args.args)


class _JavaScript(_Lua):
    end = ";"

    def statement(self, node: ast.stmt) -> str:
        if isinstance(node, ast.Assign):
            return "const " + super().statement(node).removeprefix("local ")
        assert isinstance(node, ast.Expr)
        return f"{self.text(node.value)};"

    def of_constant(self, node: ast.Constant) -> str:
        return json.dumps(node.value)

    def of_list(self, node: ast.List) -> str:
        return "[" + ", ".join(map(self.text, node.elts)) + "]"

    def of_dict(self, node: ast.Dict) -> str:
        pairs = zip(node.keys, node.values, strict=True)
        return "({" + ", ".join(f"{self.text(k)}: {self.text(v)}" for k, v in pairs if k is not None) + "})"

    def of_compare(self, node: ast.Compare) -> str:
        sign = {ast.Eq: "===", ast.NotEq: "!==", ast.Gt: ">", ast.GtE: ">="}[type(node.ops[0])]
        return f"({self.text(node.left)} {sign} {self.text(node.comparators[0])})"

    def of_subscript(self, node: ast.Subscript) -> str:
        return f"{self.text(node.value)}[{self.text(node.slice)}]"

    def of_lambda(self, node: ast.Lambda) -> str:
        return f"(async ({self.names(node)}) => {self.text(node.body)})"

    def of_call(self, node: ast.Call) -> str:
        args = ", ".join(map(self.text, node.args))
        if isinstance(node.func, ast.Name):
            return f"({args}).length" if node.func.id == "len" else f"(await {node.func.id}({args}))"
        assert isinstance(node.func, ast.Attribute)
        return f"(await {self.text(node.func.value)}.{camel(node.func.attr)}({args}))"
