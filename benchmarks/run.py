"""Runs every benchmark and writes the report: `python -m benchmarks.run [topic ...]`; topics that are named replace their rows."""

from __future__ import annotations

import json
import os
import platform
import subprocess
import sys
from pathlib import Path

from benchmarks.measure import Row

TOPICS = ("startup", "scripts", "sizes", "scale", "agent", "peers", "concurrency", "hooks", "events")
REPORT = Path(__file__).parent.parent / "docs" / "explanation" / "benchmarks.md"

HEAD = """# Benchmarks

Written by `python -m benchmarks.run`, one topic at a time or all together. Absolute numbers belong to one machine at one
moment; the ratios are what counts: both sides of each row were measured in the same run, in turn. Times are the best of several
rounds.

Machine: {machine}.

| what | ours | against | ratio | budget | met |
|---|---:|---:|---:|---|---|
"""

TAIL = """
## What is compared

- Start-up: the installed program against `python -c pass` of the same environment. The generated distributions have one
  tool each; the catalog was written by a run before. Nearly all of the time is the import of click, and of `typing`.
- `exec`: a runtime is opened, a worker process started, fenced in and ended. The nearest peer's `--version` takes about
  42 times a bare Python; the budget is half of that. Imports on the host's side are the largest part; the worker boots
  meanwhile.
- Host call: a script's call of a Python function that returns its argument, against a child process that writes and reads
  the same number of bytes and parses nothing, on the same event loop. Measured with both processes on one core and with
  one on each, because the bare echo differs by a factor of four between the two.
- Scripts in numbers: a whole session with a script that does nothing, with a worker started for it and with one that
  waited in a pool; a document of 50 chat messages to the script and back; a stream read to its end; the resident memory
  that a waiting worker does not share with the others.
- A 10 MB text from a tool to a script: from the moment the tool has it until the script has looked at it, against
  `json.dumps` and `json.loads` of the same text in one process; and how much more memory host and worker together used
  at the most.
- Agent run: CPU time of `Runtime.run_agent` with a provider that answers at once. The tool call includes validation of the
  parameters, the policy check, the time limit and the result envelope.
- Peers: the same work in a framework that is installed in an environment of its own (`benchmarks/peers.py` says how), in
  processes that are started in turn. Both have a model that answers at once; each run begins a new conversation. The tool is
  a function of two integers. A streamed run is read to its end. A workflow is twenty steps in a row that do nothing; ours
  writes each result into the state.
- Hooks and events: one dispatch with listeners that do nothing; events published in one task and received in another.
"""


def rows_of(topic: str) -> list[Row]:
    """The topic's rows, measured in a process of its own."""
    command = [sys.executable, "-m", f"benchmarks.{topic}"]
    done = subprocess.run(command, capture_output=True, text=True, cwd=Path(__file__).parent.parent)
    if done.returncode:
        sys.exit(f"benchmarks.{topic} failed; the report is unchanged:\n{done.stderr}")
    return [Row(**row) for row in json.loads(done.stdout.splitlines()[-1])]


def number(value: float, unit: str) -> str:
    return f"{value:,.0f} {unit}" if value >= 1000 else f"{value:.3g} {unit}"


def line(row: Row) -> str:
    against = f"{number(row.baseline, row.unit)} ({row.against})" if row.baseline else row.against
    ratio = f"{row.ratio:.2f}" if row.ratio else ""
    met = {True: "yes", False: "**no**", None: ""}[row.met]
    return f"| {row.what} | {number(row.ours, row.unit)} | {against} | {ratio} | {row.budget} | {met} |"


def machine() -> str:
    return f"{platform.system()} {platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}"


def kept_rows() -> dict[str, str]:
    """The lines of the report there is, by what they measure."""
    if not REPORT.exists():
        return {}
    table = [text for text in REPORT.read_text("utf-8").splitlines() if text.startswith("| ")][1:]
    return {text.split(" | ")[0]: text for text in table}


def main() -> None:
    topics = sys.argv[1:]
    rows = kept_rows() if topics else {}
    for topic in topics or TOPICS:
        found = [line(row) for row in rows_of(topic)]
        print("\n".join(found), flush=True)
        rows |= {text.split(" | ")[0]: text for text in found}
    REPORT.parent.mkdir(parents=True, exist_ok=True)
    REPORT.write_text(HEAD.format(machine=machine()) + "\n".join(rows.values()) + "\n" + TAIL)


if __name__ == "__main__":
    main()
