"""What every benchmark shares: a row of the report, and two ways to take a time on a busy machine."""

from __future__ import annotations

import asyncio
import json
import subprocess
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import asdict, dataclass


@dataclass(frozen=True)
class Row:
    """One measurement. `ours` and `baseline` in `unit`; `budget` in words, `met` None when there is no budget."""

    what: str
    unit: str
    ours: float
    baseline: float | None = None
    against: str = ""
    budget: str = ""
    met: bool | None = None

    @property
    def ratio(self) -> float | None:
        return self.ours / self.baseline if self.baseline else None


def within(factor: float, what: str, unit: str, ours: float, baseline: float, against: str) -> Row:
    """A row whose budget is a multiple of its baseline."""
    return Row(what, unit, ours, baseline, against, f"at most {factor:g} x", ours <= factor * baseline)


def report(rows: Sequence[Row]) -> None:
    """Print the rows as JSON, for `benchmarks.run` to collect."""
    print(json.dumps([asdict(row) for row in rows]))


def alternate(
    works: Mapping[str, Callable[[], float]], rounds: int, choose: Callable[[list[float]], float] = min
) -> dict[str, float]:
    """The best of `rounds` of each work, taken in turn so that a busy moment hits all of them alike.

    Each work returns the time it took. The best, because a disturbance usually only adds; `choose` the median where
    luck can also subtract, as with two processes that may or may not share a core.
    """
    taken: dict[str, list[float]] = {name: [] for name in works}
    for _ in range(rounds):
        for name, work in works.items():
            taken[name].append(work())
    return {name: choose(times) for name, times in taken.items()}


def command(arguments: Sequence[str], environment: Mapping[str, str]) -> Callable[[], float]:
    """A work that runs a program and returns its wall-clock time in ms."""

    def run() -> float:
        started = time.perf_counter()
        subprocess.run(arguments, env=dict(environment), check=True, stdout=subprocess.DEVNULL)
        return (time.perf_counter() - started) * 1000

    return run


async def cpu_us(once: Callable[[], Awaitable[object]], count: int, rounds: int = 5) -> float:
    """CPU time of one call in us: the best average of `rounds`."""
    best = float("inf")
    for _ in range(rounds):
        started = time.process_time()
        for _ in range(count):
            await once()
        best = min(best, (time.process_time() - started) / count * 1e6)
        await asyncio.sleep(0)
    return best
