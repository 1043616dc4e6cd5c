"""The desk: one object that owns configuration, registry, hooks, events, state, policy, providers and agents.

The command line, script globals, servers and Python callers all use the same few methods of it, so a permission, a
limit or a hook that is handled here holds for everybody.

    async with Runtime() as runtime:
        print((await runtime.invoke_tool("calculator", {"expression": "2+2"})).text)
"""

from __future__ import annotations

from llmspell_core.runtime.desk import Runtime

__all__ = ["Runtime"]
