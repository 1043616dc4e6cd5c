"""Progress of long work, on stderr, and only where a person is watching."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from llmspell_core.cli.harmless import printable

if TYPE_CHECKING:
    from llmspell_core.cli.shell import Shell
    from llmspell_core.provider import PullProgress

__all__ = ["download_progress"]


@contextmanager
def download_progress(shell: Shell, name: str) -> Iterator[Callable[[PullProgress], None]]:
    """What a provider reports to: a bar on a terminal; otherwise one line when it begins."""
    if not sys.stderr.isatty() or shell.options.quiet:
        shell.note(f"Fetching {name}")
        yield lambda _: None
        return
    from rich.console import Console
    from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn, TransferSpeedColumn

    columns = (
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        DownloadColumn(),
        TransferSpeedColumn(),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=Console(stderr=True)) as bar:
        task = bar.add_task(printable(name), total=None)

        def show(progress: PullProgress) -> None:
            bar.update(
                task,
                description=printable(f"{name}: {progress.status}"),
                completed=progress.bytes_downloaded,
                total=progress.bytes_total,
            )

        yield show
