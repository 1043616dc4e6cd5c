"""Rows for people and for programs: a table with a heading on a terminal, tab-separated lines in a pipe."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING

from llmspell_core.cli.harmless import Drawn, harmless

if TYPE_CHECKING:
    from rich.box import Box
    from rich.console import RenderableType

__all__ = ["aligned", "boxed", "bullets", "facts", "listed", "on_terminal", "page"]

Row = Sequence[str]

READABLE = 16
"""Columns that running text needs at least; a table that leaves it less becomes one paragraph a row."""
GAP = 2


def on_terminal() -> bool:
    """Whether a person reads the results."""
    return sys.stdout.isatty()


def aligned(rows: Sequence[Row]) -> str:
    """Columns as wide as their widest cell; the last one is left as it is."""
    if not rows:
        return ""
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]) - 1)]
    return "\n".join(
        "  ".join([*(c.ljust(w) for c, w in zip(row, widths, strict=False)), row[-1]]).rstrip() for row in rows
    )


def listed(heading: Row, rows: Sequence[Row]) -> str:
    """A table on a terminal; in a pipe a line a row, its cells between tabs, no heading: for cut and awk."""
    if not rows:
        return ""
    if on_terminal():
        return _table(heading, rows)
    return "\n".join("\t".join(map(_one_line, row)) for row in rows)


def facts(pairs: Sequence[Row]) -> str:
    """What is known of one thing: names on the left, on a terminal with the values wrapped beside them."""
    if not pairs or not on_terminal():
        return aligned(pairs)
    from rich.table import Table

    grid = Table.grid(padding=(0, GAP, 0, 0))
    for row in pairs:
        grid.add_row(*map(_text, row))
    return _drawn(grid)


def page(parts: Sequence[str]) -> str:
    """Lines and tables below each other; what is not drawn by us is made harmless on a terminal."""
    return Drawn("\n".join(map(harmless, parts))) if on_terminal() else "\n".join(parts)


def bullets(rows: Sequence[tuple[str, str]], total: str) -> str:
    """`• name  what it is`, and how many there are."""
    return aligned([(f"• {name}", text) for name, text in rows]) + f"\n\n{total}: {len(rows)}"


def boxed(heading: Row, rows: Sequence[Row]) -> str:
    """A table with lines, in colour where the terminal has it."""
    from rich import box

    return _table(heading, rows, box.HEAVY_HEAD)


def _table(heading: Row, rows: Sequence[Row], box: Box | None = None) -> str:
    """Every column in full but that of running text, which gets the rest of the line."""
    from rich.table import Table

    columns = list(zip(heading, *rows, strict=True))
    widths = [max(map(_width, column)) for column in columns]
    wraps = max(range(len(widths)), key=lambda n: (any(" " in cell for cell in columns[n][1:]), widths[n]))
    between = len(widths) * 3 + 1 if box else (len(widths) - 1) * GAP
    if _line_width() - sum(widths) + widths[wraps] - between < min(READABLE, widths[wraps]):
        return _paragraphs(heading, rows)
    table = Table(box=box, header_style="bold", pad_edge=box is not None, padding=(0, 1) if box else (0, GAP, 0, 0))
    for number, name in enumerate(heading):
        table.add_column(_text(name), overflow="fold", no_wrap=number != wraps)
    for row in rows:
        table.add_row(*map(_text, row))
    return _drawn(table)


def _paragraphs(heading: Row, rows: Sequence[Row]) -> str:
    """For a narrow terminal: each row as its first cell, and the others with their names below it."""
    from rich.table import Table
    from rich.text import Text

    parts = []
    for row in rows:
        grid = Table.grid(padding=(0, GAP, 0, 0))
        for name, value in zip(heading[1:], row[1:], strict=True):
            if value not in {"", "-"}:
                grid.add_row(Text(f"  {name}", style="dim"), _text(value))
        parts.append(f"{_drawn(Text(_one_line(row[0]), style='bold', overflow='fold'))}\n{_drawn(grid)}".rstrip())
    return Drawn("\n".join(parts))


def _one_line(cell: str) -> str:
    return cell.replace("\n", " ").replace("\r", " ").replace("\t", " ")


def _text(cell: str) -> RenderableType:
    from rich.text import Text

    return Text(harmless(_one_line(cell)), overflow="fold")


def _width(cell: str) -> int:
    from rich.cells import cell_len

    return cell_len(harmless(_one_line(cell)))


def _line_width() -> int:
    from rich.console import Console

    return Console().width


def _drawn(picture: RenderableType) -> str:
    import io
    import os

    from rich.console import Console

    text = io.StringIO()
    coloured = on_terminal() and not os.environ.get("NO_COLOR")
    Console(file=text, force_terminal=coloured, no_color=not coloured, width=_line_width()).print(picture)
    return Drawn("\n".join(line.rstrip() for line in text.getvalue().splitlines()))
