"""Rows as aligned lines, for plain text and for people."""

from __future__ import annotations

import sys
from collections.abc import Sequence

from llmspell_core.cli.harmless import Drawn, harmless

__all__ = ["aligned", "boxed", "bullets", "listed"]


def aligned(rows: Sequence[Sequence[str]]) -> str:
    """Columns as wide as their widest cell; the last one is left as it is."""
    if not rows:
        return ""
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]) - 1)]
    return "\n".join(
        "  ".join([*(c.ljust(w) for c, w in zip(row, widths, strict=False)), row[-1]]).rstrip() for row in rows
    )


def listed(heading: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Aligned rows; below a heading on a terminal, alone in a pipe, where every line is an entry."""
    return aligned([heading, *rows] if rows and sys.stdout.isatty() else rows)


def bullets(rows: Sequence[tuple[str, str]], total: str) -> str:
    """`• name  what it is`, and how many there are."""
    return aligned([(f"• {name}", text) for name, text in rows]) + f"\n\n{total}: {len(rows)}"


def boxed(heading: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A table for people, in colour where the terminal has it."""
    import io
    import os

    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(*heading, header_style="bold")
    for row in rows:
        table.add_row(*(Text(harmless(cell)) for cell in row))
    text = io.StringIO()
    coloured = sys.stdout.isatty() and not os.environ.get("NO_COLOR")
    Console(file=text, force_terminal=coloured, no_color=not coloured).print(table)
    return Drawn(text.getvalue().rstrip("\n"))
