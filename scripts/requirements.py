"""Writes requirements/*.txt for plain pip from the pyproject files: `python scripts/requirements.py [--check]`.

`pip install -r requirements/dev.txt`, from the root of the checkout, installs the core and the plugins of the workspace
in place; what they need from elsewhere stands in their own pyproject files and nowhere else.
"""

from __future__ import annotations

import re
import sys
import tomllib
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parent.parent
FOLDER = ROOT / "requirements"
HEAD = "# Written by scripts/requirements.py. Use it from the root of the checkout: pip install -r requirements/{name}.txt\n"


def pyproject(folder: Path) -> dict[str, Any]:
    return tomllib.loads((folder / "pyproject.toml").read_text(encoding="utf-8"))


def members() -> dict[str, Path]:
    """Distribution name -> folder, for every plugin and template of the workspace."""
    patterns = pyproject(ROOT)["tool"]["uv"]["workspace"]["members"]
    folders = sorted(path.parent for pattern in patterns for path in ROOT.glob(f"{pattern}/pyproject.toml"))
    return {pyproject(folder)["project"]["name"]: folder for folder in folders}


def in_place(requirement: str, folders: dict[str, Path]) -> str:
    """`llmspell-x[y]` -> `-e plugins/x[y]`; a requirement from elsewhere stays as it is."""
    found = re.match(r"([A-Za-z0-9._-]+)(\[[^\]]*\])?", requirement)
    if found is None or found[1] not in folders:
        return requirement
    return f"-e {folders[found[1]].relative_to(ROOT).as_posix()}{found[2] or ''}"


def expanded(extra: str) -> list[str]:
    """What an extra of the root names, with extras of the root itself followed."""
    names: list[str] = []
    for requirement in pyproject(ROOT)["project"]["optional-dependencies"][extra]:
        inner = re.fullmatch(r"llmspell\[(\w+)\]", requirement)
        names += expanded(inner[1]) if inner else [requirement]
    return names


def files() -> dict[str, str]:
    """File name -> content."""
    folders = members()
    written = {}
    for extra in ("common", "full"):
        written[extra] = ["-e .", *(in_place(name, folders) for name in expanded(extra))]
    rest = [name for name in folders if not any(re.split(r"\[", other)[0] == name for other in expanded("full"))]
    development = pyproject(ROOT)["dependency-groups"]["dev"]
    written["dev"] = ["-r full.txt", *(in_place(name, folders) for name in rest), *development]
    return {f"{name}.txt": HEAD.format(name=name) + "\n".join(lines) + "\n" for name, lines in written.items()}


def main() -> int:
    stale = [name for name, text in files().items() if not _same(FOLDER / name, text)]
    if "--check" not in sys.argv:
        FOLDER.mkdir(exist_ok=True)
        for name in stale:
            (FOLDER / name).write_text(files()[name], encoding="utf-8")
    print(
        f"requirements: {', '.join(stale) or 'all'} {'written' if '--check' not in sys.argv and stale else 'checked'}"
    )
    return 1 if stale and "--check" in sys.argv else 0


def _same(path: Path, text: str) -> bool:
    return path.exists() and path.read_text(encoding="utf-8") == text


if __name__ == "__main__":
    sys.exit(main())
