"""The record of what the policy refused: a file of its own, which nothing else that is logged can push out."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from llmspell_core.cli.logs import FileLog

__all__ = ["DenialLog"]

LOGGER = "llmspell.policy"
SUFFIX = ".denied"
MOST = 1_000
"""Denials that one run may add: a script that is refused something in a loop must not push out those of other runs."""
LONGEST = 2_000


class DenialLog(FileLog):
    """Beside the log file, with the same limits of size and age.

    Raises:
        ConfigurationError: the file cannot be opened.
    """

    def __init__(self, log_file: Path, settings: Mapping[str, Any]) -> None:
        super().__init__(log_file.with_name(log_file.name + SUFFIX), settings)
        self.setLevel(logging.INFO)
        self._room = MOST

    def filter(self, record: logging.LogRecord) -> bool:
        return record.name == LOGGER and self._room >= 0

    def emit(self, record: logging.LogRecord) -> None:
        self._room -= 1
        if self._room < 0:
            record = logging.makeLogRecord(
                {**record.__dict__, "msg": f"{MOST:,} denials; no more of this run", "args": ()}
            )
        super().emit(record)

    def format(self, record: logging.LogRecord) -> str:
        return super().format(record)[:LONGEST]
