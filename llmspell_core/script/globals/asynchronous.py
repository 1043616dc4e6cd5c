"""The script global `Async`: several calls at one time. Pure VM code; in JavaScript it is what Promise offers."""

from __future__ import annotations

from llmspell_core.script.declare import Function, Global, Param

JAVASCRIPT = """
G.all = (list) => Promise.all(list);
G.race = (list) => Promise.race(list);
G.all_settled = G.allSettled = (list) => Promise.allSettled(list);
// A timer takes what is too long for it as 1, as everywhere in JavaScript: a sleep does not.
G.sleep = (ms) => new Promise((resolve) => setTimeout(resolve, ms > 2147483647 ? 2147483647 : ms));
"""

LUA = """
local G, vm = ...
for name, value in next, vm.async do G[name] = value end
"""

TASKS = Param("tasks", "array", doc="What `execute_async` returned; plain values count as done.")

GLOBAL = Global(
    "Async",
    doc="Several calls at one time. Tasks come from functions with an `_async` form.",
    functions=(
        Function("all", None, (TASKS,), returns="array", doc="Waits for all; raises the first error.", blocking=True),
        Function("race", None, (TASKS,), doc="Waits for the first that is done.", blocking=True),
        Function(
            "all_settled",
            None,
            (TASKS,),
            returns="array",
            blocking=True,
            doc="Waits for all; a list of {status = 'fulfilled', value} or {status = 'rejected', reason}.",
        ),
        Function("sleep", None, (Param("ms", "number"),), doc="Waits; callbacks are served meanwhile.", blocking=True),
    ),
    sources={"lua": LUA, "javascript": JAVASCRIPT},
)
