"""One step for every item, then one step for all results."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import aclosing
from typing import Any

from llmspell_core.errors import ValidationError
from llmspell_core.workflow import Definition, Frame, Outcome, Step, StepResult, WorkflowRun, WorkflowType
from llmspell_core.workflow.placeholder import substitute

__all__ = ["MapReduce"]


class MapReduce(WorkflowType):
    name = "map_reduce"
    description = "Runs a step for every item of a list at once, then a step that gets all results."
    features = ("chunks", "concurrency limit", "order is kept", "executor")

    def __init__(self, definition: Definition) -> None:
        super().__init__(definition)
        self.items = definition.option("items")
        if self.items is None:
            raise ValidationError("map_reduce needs 'items': a list, or the name of one", field="items")
        map_step = _read_step(definition, "map_step", "map")
        if map_step is None:
            raise ValidationError("map_reduce needs 'map_step'", field="map_step")
        self.map_step = map_step
        self.reduce_step = _read_step(definition, "reduce_step", "reduce")
        self.chunk_size = definition.number("chunk_size", default=1)
        self.max_concurrency = definition.number("max_concurrency", default=4)
        word = definition.option("on_item_error", default="skip" if definition.config.strategy.tolerate else "fail")
        if word not in ("fail", "skip"):
            raise ValidationError(f"Unknown on_item_error: {word}", field="on_item_error", hint="Use fail or skip.")
        self.skip = word == "skip"

    def all_steps(self) -> Iterable[Step]:
        return tuple(step for step in (self.map_step, self.reduce_step) if step is not None)

    async def run(self, run: WorkflowRun) -> Outcome:
        items = self._items(run)
        chunks = [items[at : at + self.chunk_size] for at in range(0, len(items), self.chunk_size)]
        await run.phase("parallel_fork", {"items": len(items), "chunks": len(chunks)})
        found = await self._map(run, chunks)
        await run.phase("parallel_join", {"chunks": len(found)})
        results = [found[i].output for i in sorted(found) if found[i].success]
        await run.put("aggregated", results)
        output = await self._reduce(run, results)
        failed = [i for i in sorted(found) if not found[i].success]
        extra = {
            "total_items": len(items),
            "chunks": len(chunks),
            "successful_chunks": len(results),
            "failed_chunks": len(failed),
            "failed_indices": failed,
            "chunk_size": self.chunk_size,
            "max_concurrency": self.max_concurrency,
            "map_results": results,
        }
        return Outcome(output=output, extra=extra, success=not failed)

    def _items(self, run: WorkflowRun) -> list[Any]:
        found = substitute(self.items, run.root)
        if isinstance(found, str):
            found = run.root.shared_value(found)
        if found == {}:
            return []
        if not isinstance(found, (list, tuple)):
            raise ValidationError("map_reduce: 'items' is not a list", field="items", hint=f"It was {self.items!r}.")
        return list(found)

    async def _map(self, run: WorkflowRun, chunks: list[list[Any]]) -> dict[int, StepResult]:
        found: dict[int, StepResult] = {}
        answers = run.scatter(self._work(run, chunks), limit=self.max_concurrency)
        async with aclosing(answers):
            async for index, result in answers:
                found[index] = result
                if not result.success and not result.skipped and not self.skip:
                    raise run.failure(result)
        return found

    def _work(self, run: WorkflowRun, chunks: list[list[Any]]) -> Iterator[tuple[Step, Frame]]:
        for index, chunk in enumerate(chunks):
            item = chunk[0] if self.chunk_size == 1 else chunk
            variables = {
                "item": item,
                "chunk": chunk,
                "current_item": item,
                "current_value": item,
                "current_index": index,
                "loop_index": index,
                "total_iterations": len(chunks),
            }
            yield self.map_step, run.root.child(variables, label=f"iteration_{index}")

    async def _reduce(self, run: WorkflowRun, results: list[Any]) -> Any:
        if self.reduce_step is None:
            return results
        variables = {"map": {"results": results}, "results": results}
        done = await run.step(self.reduce_step, run.root.child(variables))
        if done.stops:
            raise run.failure(done)
        return done.output


def _read_step(definition: Definition, option: str, name: str) -> Step | None:
    given = definition.option(option, name)
    if callable(given):
        given = {"execute": given}
    if given is None:
        return None
    table = {"name": name, **given} if isinstance(given, Mapping) else given
    return Step.read(table, name)
