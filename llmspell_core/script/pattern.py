"""Patterns that scripts write, searched in time that grows with the text alone: no text makes a search take for ever.

    find = regex(r"db[.](read|write)$")      glob("tools.*")
    find("app.db.read")  ->  True

Of regular expressions everything is understood that needs no memory: letters, `.`, classes, `\\d \\w \\s`, groups, `|`,
`* + ? {2,5}` (lazy forms too), `^ $ \\b`, `(?i)` at the start. Back-references and looking around are refused.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from llmspell_core.errors import ValidationError

__all__ = ["LONGEST", "glob", "regex"]

LONGEST = 200
"""Characters of a pattern."""
MOST_STATES = 400
MOST_KNOWN = 2000
"""Steps that a search remembers."""
MOST_REPEATED = 100
MOST_NESTED = 30
CLASSES: dict[str, Callable[[str], bool]] = {
    "d": str.isdecimal,
    "s": str.isspace,
    "w": lambda c: c.isalnum() or c == "_",
}
ESCAPED = {"n": "\n", "t": "\t", "r": "\r", "f": "\f", "v": "\v"}

Test = Callable[[str], bool]
Find = Callable[[str], bool]


@dataclass(slots=True)
class _State:
    """Goes on to `then` for a character that passes `test`; without a test at once, if `where` holds at that place."""

    test: Test | None = None
    where: str = ""
    then: list[int] = field(default_factory=list)


def regex(text: str) -> Find:
    """Whether a regular expression is found anywhere in a text. Raises: ValidationError."""
    return _search(_Parser(text), anywhere=True)


def glob(text: str) -> Find:
    """Whether a pattern with `*`, `?` and `[...]` is the whole of a text. Raises: ValidationError."""
    return _search(_GlobParser(text), anywhere=False)


def _search(parser: _Parser, *, anywhere: bool) -> Find:
    start, end = parser.parse()
    return _Machine(parser.states, start, end, anywhere=anywhere).find


class _Parser:
    """Makes states of a pattern; a part of it is a pair of states, its first and its last."""

    def __init__(self, text: str) -> None:
        if len(text) > LONGEST:
            raise ValidationError(
                f"a pattern may have {LONGEST} characters, this one has {len(text):,}", field="pattern"
            )
        self.fold = text.startswith("(?i)")
        self.states: list[_State] = []
        self._text = text
        self._at = 4 if self.fold else 0
        self._depth = 0

    def parse(self) -> tuple[int, int]:
        found = self._either()
        if self._at < len(self._text):
            raise self._wrong("there is a ')' too many")
        return found

    def _wrong(self, why: str) -> ValidationError:
        return ValidationError(f"the pattern '{self._text}' is not understood: {why}", field="pattern")

    def _peek(self) -> str:
        return self._text[self._at : self._at + 1]

    def _take(self) -> str:
        found = self._peek()
        if not found:
            raise self._wrong("it ends too early")
        self._at += 1
        return found

    def _new(self, test: Test | None = None, where: str = "") -> int:
        if len(self.states) >= MOST_STATES:
            raise self._wrong("it is too large; repeat less in it")
        self.states.append(_State(test, where))
        return len(self.states) - 1

    def _one(self, test: Test | None = None, where: str = "") -> tuple[int, int]:
        first, last = self._new(test, where), self._new()
        self.states[first].then.append(last)
        return first, last

    def _either(self) -> tuple[int, int]:
        self._depth += 1
        if self._depth > MOST_NESTED:
            raise self._wrong("it is nested too deeply")
        parts = [self._row()]
        while self._peek() == "|":
            self._at += 1
            parts.append(self._row())
        self._depth -= 1
        return parts[0] if len(parts) == 1 else self._any_of(parts)

    def _any_of(self, parts: list[tuple[int, int]]) -> tuple[int, int]:
        first, last = self._new(), self._new()
        for start, end in parts:
            self.states[first].then.append(start)
            self.states[end].then.append(last)
        return first, last

    def _row(self) -> tuple[int, int]:
        first = last = self._new()
        while self._peek() not in {"", "|", ")"}:
            start, end = self._repeated()
            self.states[last].then.append(start)
            last = end
        return first, last

    def _repeated(self) -> tuple[int, int]:
        begun = self._at
        part = self._atom()
        many = self._count()
        if many is None:
            return part
        ended = self._at
        least, most = many
        if most == 0:
            return self._one()
        first = last = self._new()
        for number in range(max(least, most or 0, 1)):
            if number:  # the same text once more
                self._at = begun
                part = self._atom()
            self.states[last].then.append(part[0])
            if number >= least:
                self.states[last].then.append(end := self._new())
                self.states[part[1]].then.append(end)
                last = end
            else:
                last = part[1]
        if most is None:
            self.states[part[1]].then.append(part[0])
        self._at = ended
        return first, last

    def _count(self) -> tuple[int, int | None] | None:
        sign = self._peek()
        found: tuple[int, int | None] | None = {"*": (0, None), "+": (1, None), "?": (0, 1)}.get(sign)
        if found is not None:
            self._at += 1
        elif sign == "{":
            found = self._braces()
        if found is None:
            return None
        if self._peek() == "?":  # whether something is found does not depend on who is greedy
            self._at += 1
        if self._peek() in {"*", "+", "?"}:
            raise self._wrong("a repeat is repeated")
        return found

    def _braces(self) -> tuple[int, int | None] | None:
        inner, closed, _ = self._text[self._at + 1 :].partition("}")
        least, comma, most = inner.partition(",")
        if (
            not closed
            or not (least or most)
            or not all(not n or (n.isdecimal() and n.isascii()) for n in (least, most))
        ):
            return None  # then it is a brace like any other letter
        self._at += len(inner) + 2
        low = int(least or 0)
        high = low if not comma else int(most) if most else None
        if low > MOST_REPEATED or (high or 0) > MOST_REPEATED or (high is not None and high < low):
            raise self._wrong(f"'{{{inner}}}' is no repeat from 0 to {MOST_REPEATED}")
        return low, high

    def _atom(self) -> tuple[int, int]:
        char = self._take()
        if char == "(":
            return self._group()
        if char == "[":
            return self._one(self._class())
        if char == "\\":
            return self._escaped()
        if char in "^$":
            return self._one(where=char)
        if char == ".":
            return self._one(lambda c: c != "\n")
        if char in "*+?":
            raise self._wrong(f"there is nothing that '{char}' repeats")
        return self._one(self._cased(char.__eq__))

    def _group(self) -> tuple[int, int]:
        if self._text.startswith("?:", self._at):
            self._at += 2
        elif self._peek() == "?":
            raise self._wrong("of groups that begin with '(?', only '(?:' works here, and '(?i)' at the start")
        found = self._either()
        if self._peek() != ")":
            raise self._wrong("a '(' is never closed")
        self._at += 1
        return found

    def _escaped(self) -> tuple[int, int]:
        char = self._take()
        if char in "bB":
            return self._one(where=char)
        if char in "AzZ":
            return self._one(where="^" if char == "A" else "end")
        return self._one(self._escape(char))

    def _escape(self, char: str) -> Test:
        if char.lower() in CLASSES:
            test = CLASSES[char.lower()]
            return test if char.islower() else lambda c: not test(c)
        if char.isalnum() and char not in ESCAPED:
            raise self._wrong(f"there is no '\\{char}' here")
        return self._cased(ESCAPED.get(char, char).__eq__)

    def _cased(self, test: Test) -> Test:
        return (lambda c: test(c) or test(c.swapcase())) if self.fold else test

    def _class(self) -> Test:
        negated = self._peek() == self._negation
        self._at += negated
        tests: list[Test] = []
        while (char := self._take()) != "]" or not tests:
            tests.append(self._member(char))
        return (lambda c: not any(test(c) for test in tests)) if negated else (lambda c: any(test(c) for test in tests))

    _negation = "^"
    _has_escapes = True

    def _member(self, char: str) -> Test:
        if char == "\\" and self._has_escapes:
            char = self._take()
            if char.lower() in CLASSES:
                return self._escape(char)
            char = ESCAPED.get(char, char)
        if self._peek() != "-" or self._text[self._at + 1 : self._at + 2] in {"", "]"}:
            return self._cased(char.__eq__)
        self._at += 1
        last = self._take()
        if last == "\\" and self._has_escapes:
            last = self._take()
        if last < char:
            raise self._wrong(f"'{char}-{last}' is no range")
        return self._cased(lambda c: char <= c <= last)


class _GlobParser(_Parser):
    """Of the same states, but with the signs of file names."""

    _negation = "!"
    _has_escapes = False

    def __init__(self, text: str) -> None:
        super().__init__(text)
        self.fold, self._at = False, 0

    def parse(self) -> tuple[int, int]:
        first = last = self._new()
        while self._at < len(self._text):
            char = self._take()
            if char == "*":
                self.states[last].then.append(here := self._new(lambda _: True))
                self.states[here].then.append(here)
                self.states[last].then.append(end := self._new())
                self.states[here].then.append(end)
                last = end
                continue
            is_class = char == "[" and "]" in self._text[self._at + 1 :]
            test: Test = self._class() if is_class else (lambda _: True) if char == "?" else char.__eq__
            start, end = self._one(test)
            self.states[last].then.append(start)
            last = end
        return first, last


class _Machine:
    """Goes through a text once, in all states that are possible at the same time, and remembers the steps that it made."""

    def __init__(self, states: list[_State], start: int, end: int, *, anywhere: bool) -> None:
        self._states = states
        self._start = start
        self._end = end
        self._anywhere = anywhere
        self._known: dict[tuple[frozenset[int], str, str, bool], tuple[bool, frozenset[int]]] = {}

    def find(self, text: str) -> bool:
        now = frozenset([self._start])
        before = ""
        for at in range(len(text) + 1):
            char = text[at : at + 1]
            key = (now, before, char, at >= len(text) - 1)
            found, now = self._known.get(key) or self._step(key)
            if found and (self._anywhere or not char):
                return True
            before = char
        return False

    def _step(self, key: tuple[frozenset[int], str, str, bool]) -> tuple[bool, frozenset[int]]:
        """Whether the end is reached before a character, and the states after it."""
        now, before, char, is_last = key
        open_ = self._open(now, before, char, is_last)
        passed = [self._states[at] for at in open_ if char and (test := self._states[at].test) and test(char)]
        after = {at for state in passed for at in state.then}
        if self._anywhere:
            after.add(self._start)
        if len(self._known) >= MOST_KNOWN:
            self._known.clear()
        self._known[key] = step = (self._end in open_, frozenset(after))
        return step

    def _open(self, now: frozenset[int], before: str, char: str, is_last: bool) -> set[int]:
        """The states that are reached without a character."""
        holds = {
            "": True,
            "^": not before,
            "$": not char or (is_last and char == "\n"),
            "end": not char,
            "b": (before != "" and CLASSES["w"](before)) != (char != "" and CLASSES["w"](char)),
        }
        holds["B"] = not holds["b"]
        found: set[int] = set()
        left = list(now)
        while left:
            at = left.pop()
            if at not in found:
                found.add(at)
                state = self._states[at]
                if state.test is None and holds[state.where]:
                    left += state.then
        return found
