"""What a run did, in a few lines: for whoever stopped it."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from llmspell_core.cli.shell import Shell, dumps

if TYPE_CHECKING:
    from llmspell_core.trace import Span

__all__ = ["Account"]

KINDS = ("workflow", "step", "agent", "tool", "component")
MOST = 12
WORDS = {"ok": "done", "error": "failed", "cancelled": "interrupted", "skipped": "skipped", "waiting": "waiting"}


class Account:
    """An observer that counts. What it keeps grows with the number of different names, not with that of spans."""

    def __init__(self) -> None:
        self._begun = time.monotonic()
        self._open: dict[str, Span] = {}
        self._ended: dict[str, Counter[tuple[str, str]]] = {word: Counter() for word in WORDS.values()}
        self._calls = self._cut = 0
        self._tokens = [0, 0]
        self._cost: float | None = None

    def started(self, span: Span) -> None:
        self._open[span.id] = span

    def ended(self, span: Span) -> None:
        self._open.pop(span.id, None)
        if span.kind == "model":
            self._count_call(span)
        elif span.kind in KINDS:
            self._ended[WORDS.get(span.status, "interrupted")][span.kind, span.name] += 1

    def close(self) -> None:
        """Nothing is held."""

    def _count_call(self, span: Span) -> None:
        if span.status != "ok":
            self._cut += 1
            return
        self._calls += 1
        self._tokens[0] += span.input_tokens or 0
        self._tokens[1] += span.output_tokens or 0
        if span.cost_usd is not None:
            self._cost = (self._cost or 0.0) + span.cost_usd

    def _groups(self) -> dict[str, Counter[tuple[str, str]]]:
        groups = {word: Counter(counts) for word, counts in self._ended.items()}
        groups["interrupted"].update((s.kind, s.name) for s in self._open.values() if s.kind in KINDS)
        return {word: counts for word, counts in groups.items() if counts}

    def to_dict(self) -> dict[str, Any]:
        """`seconds`; lists of `{kind, name, count}` under done, failed, interrupted, skipped; `model_calls`; tokens."""
        made: dict[str, Any] = {"seconds": round(time.monotonic() - self._begun, 3)}
        for word, counts in self._groups().items():
            made[word] = [{"kind": k, "name": n, "count": c} for (k, n), c in counts.items()]
        made["model_calls"] = {"done": self._calls, "interrupted": self._cut + self._open_calls()}
        return made | {"input_tokens": self._tokens[0], "output_tokens": self._tokens[1], "cost_usd": self._cost}

    def _open_calls(self) -> int:
        return sum(span.kind == "model" for span in self._open.values())

    def tell(self, shell: Shell) -> None:
        """Print it, for whoever interrupted the run."""
        for line in self.lines():
            shell.note(line)
        if shell.is_json:
            print(dumps({"status": "interrupted", **self.to_dict()}))

    def lines(self) -> Iterator[str]:
        """For a person; nothing in them can draw on the terminal."""
        from llmspell_core.cli.run_tree import duration

        yield f"Stopped after {duration((time.monotonic() - self._begun) * 1000)}."
        for word, counts in self._groups().items():
            yield f"  {word}: {_listed(counts)}"
        cut = self._cut + self._open_calls()
        if self._calls or cut:
            cost = f", ${self._cost:.4f}" if self._cost else ""
            more = f"; {cut} more interrupted" if cut else ""
            yield (f"  used: {self._tokens[0]:,} + {self._tokens[1]:,} tokens{cost} in {self._calls} model calls{more}")


def _listed(counts: Counter[tuple[str, str]]) -> str:
    from llmspell_core.cli.harmless import printable

    ordered = sorted(counts.items(), key=lambda item: (KINDS.index(item[0][0]), item[0][1]))
    shown = [f"{kind} {printable(name)[:60]}" + (f" x{n}" if n > 1 else "") for (kind, name), n in ordered[:MOST]]
    rest = sum(counts.values()) - sum(n for _, n in ordered[:MOST])
    return ", ".join(shown) + (f", and {rest} more" if rest else "")
