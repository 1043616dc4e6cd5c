"""The picture of a run: a tree of its spans with times, tokens, cost and errors; live while it runs."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Awaitable, Callable, Iterator
from typing import TYPE_CHECKING, Any

from llmspell_core.cli.harmless import Drawn, printable
from llmspell_core.trace import Node, Span, tree_of

if TYPE_CHECKING:
    from rich.console import Console
    from rich.text import Text

__all__ = ["Watcher", "duration", "printed"]

SIGNS = {"ok": "✓", "error": "✗", "cancelled": "■", "running": "…", "skipped": "-", "waiting": "?"}
STYLES = {
    "ok": "green",
    "error": "red",
    "cancelled": "yellow",
    "running": "cyan",
    "skipped": "dim",
    "waiting": "yellow",
}
WAITING = 0.12
"""Seconds between two pictures."""


def duration(ms: float) -> str:
    if ms < 1000:
        return f"{ms:.0f} ms" if ms >= 10 else f"{ms:.1f} ms"
    return f"{ms / 1000:.1f} s" if ms < 60_000 else f"{int(ms // 60_000)} min {ms % 60_000 / 1000:.0f} s"


def line(node: Node) -> Text:
    """One span: sign, kind, name, and what is known of it."""
    from rich.text import Text

    span = node.span
    text = Text(f"{SIGNS[span.status]} ", STYLES[span.status])
    text.append(f"{span.kind} ", "dim").append(printable(span.name), "bold" if span.kind != "model" else "")
    text.append("  " + "  ".join(_facts(node)), "dim")
    if span.error and not any(c.span.error and c.span.error in span.error for c in node.children):
        text.append(f"  {printable(span.error)[:200]}", STYLES[span.status])
    return text


def _facts(node: Node) -> Iterator[str]:
    span, usage = node.span, node.usage()
    yield duration(node.duration_ms)
    if usage.total_tokens:
        yield f"{usage.input_tokens:,} + {usage.output_tokens:,} tokens"
    if usage.cost_usd:
        yield f"${usage.cost_usd:.4f}"
    if span.kind == "agent" and span.model:
        yield span.model
    if span.attributes.get("retries"):
        yield f"{span.attributes['retries']} retries"
    if span.attributes.get("instead_of"):
        yield f"instead of {printable(str(span.attributes['instead_of']))}"
    if span.attributes.get("handoff"):
        yield f"-> {printable(str(span.attributes['handoff']))}"


def lines(node: Node, stem: str = "", branch: str = "") -> Iterator[tuple[Node, Text]]:
    from rich.text import Text

    yield node, Text(stem + branch, "dim").append_text(line(node))
    below = stem + {"": "", "├─ ": "│  ", "└─ ": "   "}[branch]
    for child in node.children:
        yield from lines(child, below, "└─ " if child is node.children[-1] else "├─ ")


def models(tree: Node) -> list[str]:
    """What each model was used for, where there are several."""
    rows = tree.by_model()
    told = []
    for row in rows if len(rows) > 1 else ():
        cost = f"  ${row['cost_usd']:.4f}" if row["cost_usd"] else ""
        tokens = f"{row['input_tokens']:,} + {row['output_tokens']:,} tokens{cost}"
        told.append(f"  {printable(row['provider'])}/{printable(row['model'])}  {row['calls']} calls  {tokens}")
    return told


def printed(tree: Node, console: Console | None = None) -> str:
    """The whole tree as text, in colour where standard output has it."""
    import io

    from rich.console import Console

    coloured = sys.stdout.isatty() and not os.environ.get("NO_COLOR")
    made = console or Console(file=io.StringIO(), force_terminal=coloured, no_color=not coloured)
    for _, text in lines(tree):
        made.print(text, soft_wrap=True)
    for row in models(tree):
        made.print(row, soft_wrap=True, style="dim")
    return Drawn(made.file.getvalue().rstrip("\n") if isinstance(made.file, io.StringIO) else "")


class Watcher:
    """An observer that draws the run on stderr: as it goes on a terminal, and whole when it has ended.

    What the script prints meanwhile goes through `write`, line by line above the picture.
    """

    def __init__(self) -> None:
        from rich.console import Console

        self._console = Console(stderr=True, no_color=bool(os.environ.get("NO_COLOR")))
        self._spans: dict[str, Span] = {}
        self._live: Any = None
        self._drawn = 0.0
        self._held = 0
        self._rest = ""
        self._is_finished = False

    def started(self, span: Span) -> None:
        self._spans[span.id] = span
        self._draw()

    def ended(self, span: Span) -> None:
        self._draw()

    def close(self) -> None:
        """Only the program itself knows when to print: see `finish`."""

    def begin(self) -> None:
        """Start drawing, where somebody looks."""
        from rich.live import Live

        if not self._console.is_terminal or os.environ.get("TERM") == "dumb":
            return
        self._live = Live(
            get_renderable=self._picture,
            console=self._console,
            transient=True,
            redirect_stdout=False,
            refresh_per_second=8,
        )
        self._live.start()

    def undisturbed(self, ask: Callable[..., Awaitable[Any]]) -> Callable[..., Awaitable[Any]]:
        """`ask` with the terminal for itself."""

        async def alone(*arguments: Any) -> Any:
            if self._live is not None:
                self._live.stop()
            self._held += 1
            try:
                return await ask(*arguments)
            finally:
                self._held -= 1

        return alone

    @property
    def takes_output(self) -> bool:
        """Whether what goes to stdout must go through `write`: both are the same terminal."""
        return self._live is not None and sys.stdout.isatty()

    def write(self, _stream: str, text: str) -> None:
        whole, newline, self._rest = (self._rest + text).rpartition("\n")
        if newline:
            self._print(whole)

    def _print(self, text: str) -> None:
        from rich.text import Text

        self._console.print(Text.from_ansi(text), soft_wrap=True)

    def finish(self) -> None:
        """Print the whole tree, whatever happened; once."""
        if self._is_finished:
            return
        self._is_finished = True
        if self._live is not None:
            self._live.stop()
        if self._rest:
            self._print(self._rest)
        tree = tree_of(self._spans.values())
        if tree is not None:
            printed(tree, self._console)
            self._console.print(f"llmspell trace show {tree.span.run_id}", style="dim", soft_wrap=True)

    def _draw(self) -> None:
        if self._live is not None and not self._held and time.monotonic() - self._drawn > WAITING:
            self._drawn = time.monotonic()
            if not self._live.is_started:
                self._live.start()
            self._live.refresh()

    def _picture(self) -> Text:
        """As much as fits: what has ended gives way first."""
        from rich.text import Text

        tree = tree_of(list(self._spans.values()))
        found = list(lines(tree)) if tree is not None else []
        most = max(self._console.height - 2, 5)
        if len(found) > most:
            found = [(node, text) for node, text in found if node.span.status in {"running", "error"}]
            rest = len(self._spans) - len(found[:most])
            return Text("\n").join([*(text for _, text in found[:most]), Text(f"and {rest} more", "dim")])
        return Text("\n").join(text for _, text in found)
