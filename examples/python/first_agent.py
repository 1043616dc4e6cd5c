"""An agent on the model that runs on this machine, from Python.

python examples/python/first_agent.py
"""

from __future__ import annotations

import asyncio

from llmspell_core import Runtime


async def main() -> None:
    async with Runtime() as runtime:
        agent = (
            runtime.agents.builder()
            .name("clerk")
            .model("local/smollm2")
            .tool("calculator")
            .set(tool_choice="calculator")
            .max_tokens(60)
            .build()
        )
        output = await runtime.run_agent(agent, "What is 12 * 34? Evaluate the expression 12 * 34.")
        call = output.tool_calls[0]
        print("tool     ", call.tool_name, call.parameters)
        print("result   ", call.result.data["result"]["value"] if call.result and call.result.success else "failed")
        print("answer   ", output.text)


asyncio.run(main())
