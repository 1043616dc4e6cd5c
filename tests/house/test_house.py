"""Rules about the whole: what generated files say, what importing costs, what is documented."""

from __future__ import annotations

import inspect
import re
import subprocess
import sys
from pathlib import Path

from llmspell_core.hooks import HOOK_POINTS, parse_point, specs

ROOT = Path(__file__).parents[2]
HEAVY = (
    "asyncio", "click", "httpx", "lupa", "openai", "pluggy", "pydantic", "pydantic_settings", "quickjs", "rich",
    "stevedore", "tomlkit",
)  # fmt: skip
# Everything the second fence has to hold without: the worker's side imports these and the VM, nothing else.
WORKER = (
    "llmspell_core.script.worker",
    "llmspell_core.script.vm",
    "llmspell_core.script.wire",
    "llmspell_core.script.fence",
)


def loaded_after(statement: str) -> set[str]:
    """The names in `sys.modules` of a fresh interpreter after `statement`."""
    code = f"import sys; sys.path.insert(0, {str(ROOT)!r}); {statement}; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-I", "-S", "-c", code], capture_output=True, text=True, check=True)
    return set(done.stdout.split())


def test_importing_the_core_loads_nothing_heavy() -> None:
    assert loaded_after("import llmspell_core").isdisjoint(HEAVY)


def test_the_worker_needs_the_standard_library_only() -> None:
    loaded = loaded_after("import " + ", ".join(WORKER))
    top = {name.partition(".")[0] for name in loaded}
    assert top - set(sys.stdlib_module_names) - {"__main__", "__mp_main__"} <= {"llmspell_core"}
    assert not {"asyncio", "inspect", "dataclasses", "pathlib", "subprocess"} & loaded, "start-up time"


def test_every_hook_point_is_documented() -> None:
    names = [name for name in dir(specs) if name.startswith("llmspell_")]
    assert {parse_point(name.removeprefix("llmspell_")) for name in names} >= set(HOOK_POINTS)
    assert [name for name in names if not (getattr(specs, name).__doc__ or "").strip()] == []


def test_the_requirement_files_are_current() -> None:
    done = subprocess.run(
        [sys.executable, "scripts/requirements.py", "--check"], cwd=ROOT, capture_output=True, text=True
    )
    assert done.returncode == 0, f"{done.stdout}\nrun: python scripts/requirements.py"


def test_no_lock_file_is_kept_in_the_repository() -> None:
    if not (ROOT / ".git").exists():
        return
    kept = subprocess.run(["git", "ls-files", "*.lock", "*lock.json"], cwd=ROOT, capture_output=True, text=True)
    assert kept.stdout.split() == []


def test_the_runtime_is_a_few_verbs() -> None:
    """What is more than a verb of the desk belongs to one of its parts: `runtime.agents`, `tools`, `workflows`, ..."""
    from llmspell_core.runtime import Runtime

    verbs = [name for name, _ in inspect.getmembers(Runtime, inspect.isfunction) if not name.startswith("_")]
    assert len(verbs) <= 16, verbs


def test_everybody_sees_one_typed_desk() -> None:
    loose = re.compile(r"desk: Any\b|getattr\((?:\w+\.)?desk,|cast\(Any, \w+\.desk\)|class \w*Desk\w*\(Protocol\)")
    found = [
        f"{path.relative_to(ROOT)}:{number}"
        for path in (ROOT / "llmspell_core").rglob("*.py")
        for number, line in enumerate(path.read_text("utf-8").splitlines(), 1)
        if loose.search(line)
    ]
    assert found == [line for line in found if line.startswith("llmspell_core/desk.py")]
    assert len(found) == 1
