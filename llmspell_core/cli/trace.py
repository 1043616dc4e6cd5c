"""`llmspell trace`: the records of runs."""

from __future__ import annotations

import os
import time
from typing import TYPE_CHECKING

import click

from llmspell_core.cli import completing
from llmspell_core.cli.lazy import SuggestingGroup
from llmspell_core.cli.shell import Shell
from llmspell_core.cli.tables import listed

if TYPE_CHECKING:
    from llmspell_core.trace import Journal, Node

__all__ = ["trace"]

HEADING = ("run", "started", "status", "time", "what")


@click.group(cls=SuggestingGroup)
def trace() -> None:
    """Show what recorded runs did.

    What they called, for how long, with how many tokens. Runs are recorded with `run --trace`, or all of them with tracing.enabled = true.

    \b
    Examples:
      llmspell run report.lua --trace
      llmspell trace list
      llmspell trace show last
    """


def journal() -> Journal:
    from llmspell_core.config.discovery import home
    from llmspell_core.trace import Journal

    return Journal(home(os.environ) / "traces")


@trace.command("list")
@click.option("--limit", type=click.IntRange(min=1), default=20, show_default=True, help="How many, newest first.")
@click.pass_obj
def list_(shell: Shell, limit: int) -> int:
    """List recorded runs, newest first.

    \b
    Example:
      llmspell trace list --limit 5
    """
    from llmspell_core.trace import tree_of

    records = journal()
    trees = [tree_of(records.read(id_)) for id_ in reversed(records.runs()[-limit:])]
    rows = [_row(tree) for tree in trees if tree is not None]
    shell.emit(
        rows, lambda: listed(HEADING, [_cells(row) for row in rows]) or "No run is recorded. Try: llmspell run --trace"
    )
    return 0


def _row(tree: Node) -> dict[str, object]:
    root, usage = tree.span, tree.usage()
    return {
        "run": root.run_id,
        "kind": root.kind,
        "name": root.name,
        "started": root.started,
        "duration_ms": root.duration_ms,
        "status": root.status,
        "spans": sum(1 for _ in tree.every()),
        **usage.to_dict(),
    }


def _cells(row: dict[str, object]) -> list[str]:
    from llmspell_core.cli.harmless import printable
    from llmspell_core.cli.run_tree import duration

    took = row["duration_ms"]
    when = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(float(str(row["started"]))))
    shown = duration(float(str(took))) if took is not None else ""
    return [str(row["run"]), when, str(row["status"]), shown, f"{row['kind']} {printable(str(row['name']))}"]


@trace.command()
@click.argument("run", default="last", shell_complete=completing.run)
@click.pass_obj
def show(shell: Shell, run: str) -> int:
    """Print the tree of a run: its id, the beginning of it, or last.

    \b
    Example:
      llmspell trace show last
    """
    from llmspell_core.cli.run_tree import printed
    from llmspell_core.trace import tree_of

    records = journal()
    tree = tree_of(records.read(records.find(run)))
    if tree is None:
        from llmspell_core.errors import StorageError

        raise StorageError(f"the record of {run} holds nothing that can be read", operation="read")
    shell.emit(tree.to_dict() | {"models": tree.by_model()}, lambda: printed(tree))
    return 0
