"""A distribution that registers the models of `llm_wire.py`, as `pip` would install it, beside the installed plugins."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

HERE = Path(__file__).parent
BROKEN = "raise ImportError('its library is missing')\n"


@pytest.fixture(autouse=True)
def plugins(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder that such distributions lie in, on the child's path; the user's own folder of llm is out of reach."""
    place = tmp_path / "plugins"
    install(place, "llm-wire", "llm_wire", (HERE / "llm_wire.py").read_text("utf-8"))
    install(place, "llm-broken", "llm_broken", BROKEN)
    paths = [str(place), *filter(None, [os.environ.get("PYTHONPATH")])]
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(paths))
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    monkeypatch.setenv("HOME", str(tmp_path))
    for name in ("LLM_USER_PATH", "LLM_LOAD_PLUGINS", "WIRE_KEY"):
        monkeypatch.delenv(name, raising=False)
    return place


@pytest.fixture
def add_plugin(plugins: Path) -> Callable[[str, str], None]:
    """`add_plugin("spy", source)`: one more of them."""
    return lambda name, source: install(plugins, f"llm-{name}", f"llm_{name}", source)


def install(place: Path, distribution: str, module: str, source: str) -> None:
    info = place / f"{module}-1.0.dist-info"
    info.mkdir(parents=True)
    (place / f"{module}.py").write_text(source, "utf-8")
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {distribution}\nVersion: 1.0\n", "utf-8")
    (info / "entry_points.txt").write_text(f"[llm]\n{module} = {module}\n", "utf-8")
