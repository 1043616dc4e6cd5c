"""The words of a jq query that ask for more than its input; what only looks like them is data.

The worker process has no environment, no modules and no second input anyway: a clear refusal is kinder than an empty answer.
"""

from __future__ import annotations

import re

__all__ = ["forbidden_word"]

_FORBIDDEN = frozenset(
    {"env", "$ENV", "$__loc__", "$__prog_args", "input", "inputs", "debug", "stderr", "input_filename", "input_line_number",
     "modulemeta", "builtins", "include", "import", "get_search_list", "halt", "halt_error"}
)  # fmt: skip
# A text up to its end or to the code in it, a comment, a word with what marks it as a name, any other character.
_PIECE = re.compile(r'"|#[^\n]*|(?P<name>[.$@]?[A-Za-z_](?:\w|::\w)*+)|(?P<space>\s++)|(?P<other>.)', re.DOTALL)
_TEXT = re.compile(r'[^"\\]*+(?:\\[^(][^"\\]*+)*+(?P<end>"|\\\()?')
_OPENING, _CLOSING = "([{", ")]}"


def forbidden_word(query: str) -> str | None:
    """The first word that a query may not use. Fields (`.input`), keys (`{input: 1}`, `{input}`) and texts are data."""
    return _Words(query).first_forbidden()


class _Words:
    def __init__(self, query: str) -> None:
        self._query = query
        self._at = 0
        self._open: list[str] = []
        """Brackets around the place; '"' is a text whose code we are in."""
        self._before = ""

    def first_forbidden(self) -> str | None:
        while self._at < len(self._query):
            found = _PIECE.match(self._query, self._at)
            assert found is not None  # the last alternative takes any character
            self._at = found.end()
            if found["name"]:
                word = found["name"]
                if word in _FORBIDDEN and not self._is_key():
                    return word
                self._before = "name"
            elif found[0] == '"':
                self._skip_text()
            elif found["other"]:
                self._bracket(found["other"])
        return None

    def _is_key(self) -> bool:
        """Whether what stands here names a key of an object, as in `{input: 1, env}`."""
        return bool(self._open) and self._open[-1] == "{" and self._before in {"{", ","}

    def _bracket(self, sign: str) -> None:
        self._before = sign
        if sign in _OPENING:
            self._open.append(sign)
        elif sign in _CLOSING and self._open and self._open.pop() == '"':
            self._skip_text()

    def _skip_text(self) -> None:
        found = _TEXT.match(self._query, self._at)
        assert found is not None  # it may be empty
        self._at = found.end()
        self._before = "text"
        if found["end"] == "\\(":
            self._open.append('"')
            self._before = "("
