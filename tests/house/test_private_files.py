"""Files for their owner only are made by `llmspell_core.private`, and by nothing else."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
HELPER = ROOT / "llmspell_core" / "private.py"
MAKES = re.compile(r"0o[67]00\b|S_IRUSR|\.touch\(|gzip\.open\(|\bmkstemp\(|\bFileHistory\(")
FOLDERS = re.compile(r"\.mkdir\(parents=True|\bmakedirs\(")
PEOPLES = {
    "llmspell_core/cli/template.py": "the artifacts that a person asked for",
    "llmspell_core/scaffold/__init__.py": "a new plugin of a person",
    "plugins/provider-llamacpp/llmspell_provider_llamacpp/pull.py": "models that anybody may have",
}
"""Where folders are made for what is not private."""
EXCEPTIONS = {
    "llmspell_core/cli/lines.py": ["FileHistory("],  # the file is made by the helper before
    "llmspell_core/scaffold/__init__.py": [".touch("],  # py.typed
}


def sources() -> dict[str, str]:
    files = [*ROOT.glob("llmspell_core/**/*.py"), *ROOT.glob("plugins/*/llmspell*/**/*.py")]
    found = {file.relative_to(ROOT).as_posix(): file.read_text("utf-8") for file in files if file != HELPER}
    return {name: text for name, text in found.items() if "/testing/" not in name}


def test_nothing_else_makes_private_files() -> None:
    found = {name: MAKES.findall(text) for name, text in sources().items()}
    assert {name: what for name, what in found.items() if what and EXCEPTIONS.get(name) != what} == {}


def test_nothing_else_makes_folders_except_for_what_a_person_asked_for() -> None:
    found = {name for name, text in sources().items() if FOLDERS.search(text)}
    assert found - set(PEOPLES) == set()
