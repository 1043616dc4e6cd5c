"""Which file and line a position in the VM belongs to.

The VM calls every source `<input>`. So each source starts on lines of its own (newlines in front of it cost next to
nothing), the bootstrap far behind, and a line number says where it came from. Only modules have names of their own.
"""

from __future__ import annotations

import re
from bisect import bisect_right

__all__ = ["BOOTSTRAP_LINE", "MAIN", "SourceMap", "is_module"]

MAIN = "<main>"
"""The module that a script is which begins with `import`."""

BOOTSTRAP_LINE = 200_000
_BOOTSTRAP_END = 210_000
_FRAME = re.compile(r"^\s*at (?:(.*?) \()?(<input>|[^():]+):(\d+)(?::(\d+))?\)?$")
_MODULE_SYNTAX = re.compile(r"^[ \t]*(?:import\b(?!\s*\()|export\b)", re.MULTILINE)
_MAX_FRAMES = 20
_MAX_KNOWN = 500

Frame = tuple[str, str, int]
"""Function name, file, line."""


class SourceMap:
    """Places sources on lines and finds them again."""

    def __init__(self) -> None:
        self._starts: list[int] = []
        self._names: list[str] = []
        self._texts: list[str] = []
        self._next = 0
        self._lines: dict[str, int] = {}
        self._modules: dict[str, tuple[str, str]] = {}

    def place(self, name: str, source: str) -> int:
        """How many empty lines to put in front of `source`."""
        lines = source.count("\n") + 2
        if self._next < _BOOTSTRAP_END and self._next + lines > BOOTSTRAP_LINE:
            self._next = _BOOTSTRAP_END
        start = self._next
        self._starts.append(start)
        self._names.append(name)
        self._texts.append(source)
        self._next = start + lines
        return start

    def name_module(self, module: str, name: str, source: str) -> None:
        """What the VM calls `module` is the file `name`."""
        self._modules[module] = name, source

    def path_of(self, module: str) -> str | None:
        """The file that the VM calls `module`; None for the script itself, and for text that is no file."""
        return self._modules[module][0] if module in self._modules and module != MAIN else None

    def import_of(self, written: str, module: str) -> list[Frame]:
        """Where `module` names what it imports; [] when that is not clear."""
        named = [self._modules[module]] if module in self._modules else list(zip(self._names, self._texts, strict=True))
        quoted = re.compile(rf"""['"`]{re.escape(written)}['"`]""")
        for name, source in named:
            found = quoted.search(source)
            if found is not None:
                return [("module", name, source.count("\n", 0, found.start()) + 1)]
        return []

    def readable(self, stack: str) -> str:
        """A stack with files and their lines where the VM has numbers of its own."""
        lines = []
        for text in stack.split("\n"):
            frame, match = self._frame(text), _FRAME.match(text)
            if frame is None or match is None:
                lines.append(text)
                continue
            place = f"{frame[1]}:{frame[2]}" + (f":{match[4]}" if match[4] else "")
            lines.append(f"    at {match[1]} ({place})" if match[1] else f"    at {place}")
        return "\n".join(lines)

    def line_of(self, site: str) -> int:
        """The line of the innermost script frame in a stack; 0 when there is none."""
        line = self._lines.get(site)  # a loop asks for the same one again and again
        if line is None:
            if len(self._lines) >= _MAX_KNOWN:
                self._lines.clear()
            line = self._lines[site] = self._find_line(site)
        return line

    def _find_line(self, site: str) -> int:
        for text in site.split("\n"):
            frame = self._frame(text)
            if frame is not None:
                return frame[2]
        return 0

    def frames(self, stack: str, *, syntax: bool) -> list[Frame]:
        """The script's frames, innermost first.

        Args:
            syntax: the first line is the position of a syntax error in a placed source; otherwise such a line belongs
                to a text that the script itself had parsed.
        """
        found: list[Frame] = []
        for text in stack.split("\n"):
            if not syntax and "(" not in text and "<input>" in text:
                continue
            frame = self._frame(text)
            if frame is not None and len(found) < _MAX_FRAMES:
                found.append(frame)
        return found

    def text_of(self, name: str | None, line: int | None) -> str | None:
        """One line of a source."""
        lines = self.source_of(name).split("\n")
        return lines[line - 1] if line is not None and 0 < line <= len(lines) else None

    def source_of(self, name: str | None) -> str:
        modules = reversed(self._modules.values())
        for known, text in (*modules, *zip(reversed(self._names), reversed(self._texts), strict=True)):
            if known == name:
                return text
        return ""

    def _frame(self, text: str) -> Frame | None:
        match = _FRAME.match(text)
        if match is None:
            return None
        line = int(match[3])
        if match[2] != "<input>":
            module = self._modules.get(match[2])
            return module and (_function(match[1]), module[0], line)
        index = bisect_right(self._starts, line - 1) - 1
        if index < 0 or line > self._starts[index] + self._texts[index].count("\n") + 2:
            return None
        last = self._starts[index] + self._texts[index].count("\n") + 1
        return _function(match[1]), self._names[index], min(line, last) - self._starts[index]


def _function(name: str | None) -> str:
    return name if name and name != "<anonymous>" else "script"


def is_module(source: str) -> bool:
    """Whether it imports or exports something."""
    return _MODULE_SYNTAX.search(source) is not None
