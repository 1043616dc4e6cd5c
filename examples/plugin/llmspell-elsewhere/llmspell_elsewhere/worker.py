"""The other side: performs the jobs that it reads, several at once."""

from __future__ import annotations

import asyncio
import json
import sys

from llmspell_core import Runtime
from llmspell_core.errors import LLMSpellError
from llmspell_core.workflow import perform_job


async def main() -> None:
    async with Runtime() as runtime, asyncio.TaskGroup() as jobs:

        async def perform(line: str) -> None:
            data = json.loads(line)
            answer: dict[str, object] = {}
            try:
                answer["result"] = await perform_job(runtime, data)
            except LLMSpellError as error:
                answer["error"] = error.message
            print(json.dumps({"index": data["index"], **answer}), flush=True)

        while line := await asyncio.to_thread(sys.stdin.readline):
            jobs.create_task(perform(line))


if __name__ == "__main__":
    asyncio.run(main())
