"""What the README files of the tool plugins show is what happens."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

PLUGINS = Path(__file__).parents[2] / "plugins"
SHOWN = {
    "tools-utility": ("10", "helloWorld"),
    "tools-filesystem": ("Call Ada", "Call Ada"),
    "tools-data": ("36", "age"),
}


@pytest.mark.parametrize("plugin", SHOWN)
@pytest.mark.parametrize("language", ["lua", "javascript"])
def test_the_script_of_a_readme_prints_its_result(
    plugin: str, language: str, isolated: Path, invoke_cli: Callable[..., Any]
) -> None:
    (isolated / "notes.txt").write_text("Call Ada", "utf-8")
    text = (PLUGINS / plugin / "README.md").read_text("utf-8")
    code = re.findall(rf"^```{language}\n(.*?)^```", text, re.MULTILINE | re.DOTALL)[0]
    done = invoke_cli("exec", "--engine", language, code)
    assert (done.exit_code, done.stderr) == (0, "")
    assert SHOWN[plugin][language == "javascript"] in done.stdout
