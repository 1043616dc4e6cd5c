"""Start-up of the command line, with 10, 100 and 500 installed components, against bare Python."""

from __future__ import annotations

import os
import sys
import tempfile
from pathlib import Path

from benchmarks.measure import Row, alternate, command, report, within

ROUNDS = 9
PROGRAM = "import sys; from llmspell_core.cli import main; sys.exit(main(sys.argv[1:]))"
COMMANDS = {"--help": ["--help"], "tool list": ["tool", "list"]}

MODULE = """
from pydantic import BaseModel
from llmspell_core.tool import Tool

class Nothing(BaseModel):
    pass

class Sample(Tool[Nothing]):
    name = "sample-{number}"
    description = "Sample tool number {number}."
    parameters = Nothing

    async def run(self, params, ctx):
        return {number}
"""


def install(folder: Path, count: int) -> None:
    """Write `count` distributions with one tool each, as an installer would leave them."""
    for number in range(count):
        info = folder / f"llmspell_sample_{number}-1.0.dist-info"
        info.mkdir(parents=True)
        (folder / f"llmspell_sample_{number}.py").write_text(MODULE.format(number=number))
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: llmspell-sample-{number}\nVersion: 1.0\n")
        point = f"[llmspell.tools]\nsample-{number} = llmspell_sample_{number}:Sample\n"
        (info / "entry_points.txt").write_text(point)
        (info / "RECORD").write_text("")


def environment(folder: Path) -> dict[str, str]:
    """An environment with its own caches in which the generated distributions are found."""
    keep = {name: os.environ[name] for name in ("PATH", "HOME", "LANG") if name in os.environ}
    return {**keep, "PYTHONPATH": str(folder / "site"), "LLMSPELL_CACHE_DIR": str(folder / "cache")}


def measure(folder: Path, count: int) -> list[Row]:
    install(folder / "site", count)
    variables = environment(folder)
    works = {"bare": command([sys.executable, "-c", "pass"], variables)}
    works |= {name: command([sys.executable, "-c", PROGRAM, *words], variables) for name, words in COMMANDS.items()}
    for work in works.values():
        work()  # builds the catalog and the byte code
    best = alternate(works, ROUNDS)
    return [
        within(5, f"{name}, {count} components", "ms", best[name], best["bare"], "python -c pass") for name in COMMANDS
    ]


def flat(rows: list[Row]) -> list[Row]:
    """How much 500 components cost more than 10."""
    by_name = {row.what: row.ratio or 0 for row in rows}
    pairs = [(name, by_name[f"{name}, 10 components"], by_name[f"{name}, 500 components"]) for name in COMMANDS]
    return [
        Row(
            f"{name}, 500 against 10 components",
            "x bare",
            many,
            few,
            "10 components",
            "flat (at most 1.2 x)",
            many <= 1.2 * few,
        )
        for name, few, many in pairs
    ]


def main() -> None:
    rows = []
    for count in (10, 100, 500):
        with tempfile.TemporaryDirectory() as folder:
            rows += measure(Path(folder), count)
    report([*rows, *flat(rows)])


if __name__ == "__main__":
    main()
