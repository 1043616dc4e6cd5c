"""A stranger's afternoon: generate a plugin, run its tests, install it, call it from Lua and from the shell."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Iterable
from importlib import metadata
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from llmspell_core.errors import ValidationError
from llmspell_core.scaffold import KINDS, generate

ROOT = Path(__file__).parents[2]
UV = Path(sys.executable).parent / "uv"


class Venv:
    """A fresh virtual environment. What others published is linked from this one: these tests need no network."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.bin = folder / "bin"
        self.call(UV, "venv", "--quiet", "--python", sys.executable, folder)

    def call(self, *command: object, cwd: Path | None = None) -> str:
        env = {k: v for k, v in os.environ.items() if not k.startswith(("PYTEST_", "COV_", "VIRTUAL_ENV"))}
        env["LLMSPELL_CACHE_DIR"] = str(self.folder / "cache")
        done = subprocess.run(
            [str(part) for part in command], cwd=cwd, env=env, capture_output=True, text=True, timeout=100, check=False
        )
        assert done.returncode == 0, f"{command}\n{done.stdout}\n{done.stderr}"
        return done.stdout

    def install(self, *what: object) -> None:
        command = ("pip", "install", "--quiet", "--offline", "--no-deps", "--python", self.bin / "python")
        self.call(UV, *command, *what)

    def borrow(self, *names: str) -> None:
        """Link installed distributions and all that they need, except our own."""
        target = Path(
            self.call(self.bin / "python", "-c", "import sysconfig; print(sysconfig.get_path('purelib'))").strip()
        )
        for name in closure(names):
            for entry in top_level(name):
                link = target / entry.name
                if not link.exists():
                    link.symlink_to(entry)

    def uninstall(self, name: str) -> None:
        self.call(UV, "pip", "uninstall", "--quiet", "--python", self.bin / "python", name)

    def llmspell(self, *args: str) -> str:
        return self.call(self.bin / "llmspell", *args)


def closure(names: Iterable[str]) -> set[str]:
    """The distributions and everything that they require here."""
    found: set[str] = set()
    waiting = list(names)
    while waiting:
        name = canonicalize_name(waiting.pop())
        if name in found or name.startswith("llmspell"):
            continue
        found.add(name)
        for text in metadata.requires(name) or ():
            wanted = Requirement(text)
            if wanted.marker is None or wanted.marker.evaluate({"extra": ""}):
                waiting.append(wanted.name)
    return found


def top_level(name: str) -> set[Path]:
    """The files and folders that a distribution put into site-packages."""
    distribution = metadata.distribution(name)
    roots = {file.parts[0] for file in distribution.files or () if file.parts[0] not in {"..", "__pycache__"}}
    return {Path(str(distribution.locate_file(root))) for root in roots}


def needed_by(*projects: Path) -> list[str]:
    """What the `dependencies` of these projects name."""
    texts = [t for p in projects for t in tomllib.loads((p / "pyproject.toml").read_text())["project"]["dependencies"]]
    return [Requirement(text).name for text in texts]


@pytest.fixture(scope="module")
def venv(tmp_path_factory: pytest.TempPathFactory) -> Venv:
    made = Venv(tmp_path_factory.mktemp("fresh") / "venv")
    ours = [ROOT, ROOT / "plugins/engine-lua", ROOT / "plugins/engine-javascript", ROOT / "plugins/tool-pdf"]
    made.borrow("pytest", "pytest-asyncio", *needed_by(*ours))
    made.install("-e", ROOT, "-e", ROOT / "plugins/engine-lua")
    return made


@pytest.mark.parametrize("kind", KINDS)
def test_a_generated_plugin_passes_its_own_tests(kind: str, venv: Venv, tmp_path: Path) -> None:
    generate(kind, "fresh-start", tmp_path)
    folder = tmp_path / f"llmspell-{kind}-fresh-start"
    venv.install("-e", f"{folder}")
    try:
        report = venv.call(venv.bin / "python", "-m", "pytest", "-q", "-p", "no:cacheprovider", cwd=folder)
        assert " passed" in report
        assert "failed" not in report
    finally:
        venv.uninstall(f"llmspell-{kind}-fresh-start")


def test_the_shell_and_lua_find_it_as_long_as_it_is_installed(venv: Venv, tmp_path: Path) -> None:
    venv.llmspell("plugin", "new", "tool", "weather", "--into", str(tmp_path))
    assert "weather" not in venv.llmspell("tool", "list").split()
    venv.install(tmp_path / "llmspell-tool-weather")
    assert "weather" in venv.llmspell("tool", "list").split()
    assert '"echo": "hello"' in venv.llmspell("tool", "invoke", "weather", "--param", "text=hello")
    lua = 'print(Tool.execute("weather", {text = "hello", times = 2}).result.echo)'
    assert venv.llmspell("exec", lua) == "hello hello\n"
    venv.uninstall("llmspell-tool-weather")
    assert "weather" not in venv.llmspell("tool", "list").split()


@pytest.mark.parametrize("name", ["llmspell-dice", "llmspell-elsewhere"])
def test_the_example_of_a_third_party_passes_its_own_tests(name: str, venv: Venv, tmp_path: Path) -> None:
    folder = tmp_path / name
    shutil.copytree(ROOT / "examples/plugin" / name, folder)
    venv.install("-e", folder, "-e", ROOT / "plugins/engine-javascript")
    try:
        report = venv.call(venv.bin / "python", "-m", "pytest", "-q", "-p", "no:cacheprovider", cwd=folder)
        assert "failed" not in report
        assert name != "llmspell-dice" or "Dice" in venv.llmspell("stubs", "lua")
    finally:
        venv.uninstall(name)


def test_a_strangers_workflow_type_comes_and_goes_with_its_distribution(venv: Venv, tmp_path: Path) -> None:
    venv.llmspell("plugin", "new", "workflow", "upside-down", "--into", str(tmp_path))
    venv.install(tmp_path / "llmspell-workflow-upside-down", "-e", ROOT / "plugins/engine-javascript")
    step = "{name = 'a', execute = function() return 1 end}, {name = 'b', execute = function(c) return c.steps.a end}"
    lua = f"print(Workflow.create({{type = 'upside-down', steps = {{{step}}}}}):execute().output)"
    js = "console.log((await Workflow.builder().type('upside-down').addStep({name: 'a', execute: () => 7}).build().execute()).output)"
    assert venv.llmspell("exec", lua) == "1\n"
    assert venv.llmspell("exec", "--engine", "javascript", js) == "7\n"
    assert "upside-down" in venv.llmspell("exec", "print(table.concat(Workflow.types(), ' '))")
    venv.uninstall("llmspell-workflow-upside-down")
    assert venv.llmspell("exec", "print(Workflow == nil)") == "true\n"


def test_a_wheel_of_pdf_processor_works_with_only_the_core_and_an_engine(venv: Venv, tmp_path: Path) -> None:
    pdf = tmp_path / "one.pdf"
    pdf.write_bytes(PDF)
    script = f'print(Tool.execute("pdf-processor", {{operation = "extract_text", input = "{pdf}"}}).result.text)'
    venv.call(UV, "build", "--quiet", "--wheel", "--out-dir", tmp_path, ROOT / "plugins/tool-pdf")
    assert "pdf-processor" not in venv.llmspell("tool", "list").split()
    venv.install(next(tmp_path.glob("*.whl")))
    assert "pdf-processor" in venv.llmspell("tool", "list").split()
    assert "Hello from a page" in venv.llmspell("exec", script)
    venv.uninstall("llmspell-tool-pdf")
    assert "pdf-processor" not in venv.llmspell("tool", "list").split()


@pytest.mark.parametrize(("kind", "name"), [("tol", "x"), ("tool", "No Good"), ("tool", "class")])
def test_a_bad_kind_or_name_is_explained(kind: str, name: str, tmp_path: Path) -> None:
    with pytest.raises(ValidationError) as caught:
        generate(kind, name, tmp_path)
    assert caught.value.hint
    assert list(tmp_path.iterdir()) == []


def test_an_existing_folder_is_not_overwritten(tmp_path: Path) -> None:
    generate("tool", "weather", tmp_path)
    with pytest.raises(ValidationError, match="exists already"):
        generate("tool", "weather", tmp_path)


def _pdf() -> bytes:
    """A one-page document, written by hand."""
    stream = b"BT /F1 24 Tf 72 700 Td (Hello from a page) Tj ET"
    objects = [
        b"<</Type/Catalog/Pages 2 0 R>>",
        b"<</Type/Pages/Kids[3 0 R]/Count 1>>",
        b"<</Type/Page/Parent 2 0 R/MediaBox[0 0 612 792]/Contents 4 0 R/Resources<</Font<</F1 5 0 R>>>>>>",
        b"<</Length %d>>stream\n%s\nendstream" % (len(stream), stream),
        b"<</Type/Font/Subtype/Type1/BaseFont/Helvetica>>",
    ]
    out, offsets = b"%PDF-1.4\n", []
    for number, body in enumerate(objects, 1):
        offsets.append(len(out))
        out += b"%d 0 obj%s endobj\n" % (number, body)
    table = b"".join(b"%010d 00000 n \n" % offset for offset in offsets)
    head = b"xref\n0 6\n0000000000 65535 f \n%s" % table
    return out + head + b"trailer<</Size 6/Root 1 0 R>>\nstartxref\n%d\n%%%%EOF" % len(out)


PDF = _pdf()
