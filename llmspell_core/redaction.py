"""Keeps secrets out of texts: errors, logs, traces, what hooks and events are told."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Mapping

__all__ = ["MASK", "Redaction"]

MASK = "********"
SHORTEST = 8  # masking shorter values would blacken ordinary text
SECRET_NAME = re.compile(r"(?:^|_)(?:API_?KEY|KEY|TOKEN|SECRET|PASSWORD|PASSWD|CREDENTIALS?)$", re.IGNORECASE)


class Redaction:
    """Knows secrets, and finds them in texts.

    Args:
        secrets: such as configured API keys.
        environ: the values of its variables that are named like a secret are added; by default the process's.
    """

    def __init__(self, secrets: Iterable[str] = (), environ: Mapping[str, str] | None = None) -> None:
        variables = os.environ if environ is None else environ
        named = (value for name, value in variables.items() if SECRET_NAME.search(name))
        self._secrets: list[str] = []
        for value in (*secrets, *named):
            self.add(value)

    def add(self, value: str) -> None:
        """Mask this value from now on."""
        value = value.strip()  # a line break at the end of a key is no part of it
        if len(value) >= SHORTEST and value not in self._secrets:
            self._secrets.append(value)
            self._secrets.sort(key=len, reverse=True)  # a secret that contains another one goes first

    def clean(self, text: str) -> str:
        """`text` with every secret replaced."""
        for secret in self._secrets:
            if secret in text:
                text = text.replace(secret, MASK)
        return text
