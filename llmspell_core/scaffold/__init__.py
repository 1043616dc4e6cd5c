"""What `llmspell plugin new` writes: a complete distribution whose tests pass as generated.

The files lie beside this module, one folder per kind, with `@name@`-like marks where the name goes.
"""

from __future__ import annotations

import keyword
import re
from pathlib import Path

from llmspell_core.errors import ValidationError
from llmspell_core.plugins.kinds import KINDS as ALL

__all__ = ["KINDS", "generate"]

HERE = Path(__file__).parent / "templates"
KINDS = tuple(sorted(kind.new for kind in ALL if kind.new))
NAME = re.compile(r"[a-z][a-z0-9]*(-[a-z0-9]+)*")


def generate(kind: str, name: str, into: Path) -> list[Path]:
    """Write `into/llmspell-<kind>-<name>/`; returns the files written.

    Raises:
        ValidationError: an unknown kind, a name that cannot be one, or a folder that exists.
    """
    _check(kind, name)
    target = into / f"llmspell-{kind}-{name}"
    if target.exists():
        raise ValidationError(
            f"{target} exists already", field="name", hint="Choose another name, or remove the folder."
        )
    marks = _marks(kind, name)
    written = []
    for source in sorted(p for p in (HERE / kind).rglob("*.txt") if p.is_file()):
        relative = _fill(str(source.relative_to(HERE / kind)).removesuffix(".txt"), marks)
        path = target / relative
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(_fill(source.read_text(encoding="utf-8"), marks), encoding="utf-8")
        written.append(path)
    (target / marks["package"] / "py.typed").touch()
    return [*written, target / marks["package"] / "py.typed"]


def _check(kind: str, name: str) -> None:
    if kind not in KINDS:
        raise ValidationError(f"'{kind}' is not a kind of plugin", field="kind", hint=f"Use one of {', '.join(KINDS)}.")
    if not NAME.fullmatch(name) or keyword.iskeyword(name):
        raise ValidationError(
            f"'{name}' cannot be a plugin's name",
            field="name",
            hint="Use lower-case words joined by dashes, e.g. weather.",
        )


def _marks(kind: str, name: str) -> dict[str, str]:
    return {
        "name": name,
        "kind": kind,
        "distribution": f"llmspell-{kind}-{name}",
        "package": f"llmspell_{kind}_{name.replace('-', '_')}",
        "module": name.replace("-", "_"),
        "Class": "".join(word.capitalize() for word in name.split("-")),
    }


def _fill(text: str, marks: dict[str, str]) -> str:
    return re.sub(r"@(\w+)@", lambda match: marks[match[1]], text)
