"""Text of others on a person's terminal: names, messages, answers. Nothing in it moves the cursor, recolours or reorders.

What a script prints is its own business and passes unchanged; so does all output into a pipe or a file.
"""

from __future__ import annotations

__all__ = ["Drawn", "harmless", "printable"]

JOINERS = "\u200c\u200d"
"""They hold the parts of an emoji or of a word together; alone they draw nothing."""


class Drawn(str):
    """Text whose colours are ours: the parts that are not have been made harmless."""

    __slots__ = ()


def harmless(text: str) -> str:
    """Its lines and tabs; everything else that is no character is written out, as `\\x1b`."""
    if text.isprintable() or isinstance(text, Drawn):
        return text
    return "".join(c if c.isprintable() or c in "\n\t" or c in JOINERS else _written(c) for c in text)


def printable(text: str) -> str:
    """One line, with blanks in the place of what is no character."""
    return "".join(c if c.isprintable() or c in JOINERS else " " for c in text)


def _written(character: str) -> str:
    return character.encode("unicode_escape").decode("ascii")
