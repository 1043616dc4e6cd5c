"""Lua's own test files, in our worker and in the bare library: what fails in one fails in the other, in the same lines.

They are in the source distribution of lupa, which `.ci/run` fetches. Lines that use what is left out on purpose are taken
out of both sides.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tarfile
from pathlib import Path

import pytest

from llmspell_core.runtime import Runtime

ROOT = Path(__file__).parents[2]
ARCHIVE = ROOT / ".venv" / "lua-tests" / "lupa-2.8.tar.gz"
FETCH = "python3 -m pip download -q --no-deps --no-binary lupa lupa==2.8 -d .venv/lua-tests"

FILES = ("strings", "tpack", "utf8", "sort", "nextvar", "events", "closure", "goto", "coroutine", "calls", "constructs",
         "vararg", "math", "literals", "locals", "pm", "errors", "cstack", "big", "verybig")  # fmt: skip
LEFT_OUT: dict[str, list[tuple[int, int]]] = {
    "calls": [(331, 332), (335, 342), (345, 350), (352, 352), (363, 372), (391, 393), (397, 411), (428, 434),
              (454, 494)],  # string.dump, debug.setupvalue
    "closure": [(253, 278)],  # debug.upvalueid and upvaluejoin
    "coroutine": [(339, 356), (965, 971)],  # debug.sethook, debug.setupvalue
    # debug.upvalueid, io.write (leaves out what is no text), string.dump, the metatable of files; asserts that count here
    "errors": [(236, 241), (274, 274), (278, 291), (340, 340), (579, 588)],
    "events": [(196, 196), (454, 480)],  # files are tables here; debug.setmetatable of other types
    "goto": [(187, 218)],  # debug.upvalueid
    "locals": [(74, 76), (80, 80), (82, 82), (784, 808)],  # debug.getupvalue, debug.sethook
}  # fmt: skip
"""First and last line, per file, of what uses a function that scripts do not have: docs/reference/languages.md."""

COUNTING = (
    b"local assert = (function (R, info) __R = R return function (c, ...) if c then R.passed = R.passed + 1 else "
    b"local i = info(2, 'l') R.failed[#R.failed + 1] = i and i.currentline or -1 end return c, ... end end)"
    b"({passed = 0, failed = {}}, debug.getinfo) "
)
MAIN = """_port, _soft, _nomsg, print = true, true, true, function () end
local chunk, why = loadfile("FILE.lua")
local fine, message = false, why
if chunk then fine, message = pcall(chunk) end
local found = __R or {passed = 0, failed = {}}
return {passed = found.passed, failed = found.failed, message = not fine and tostring(message) or nil}"""
BARE = """
import json, sys
from lupa import lua54
vm = lua54.LuaRuntime(encoding="latin-1", unpack_returned_tuples=True)
vm.execute("io.write = function () end")
found = vm.execute(sys.argv[1])
print(json.dumps({"passed": found.passed, "failed": list(found.failed.values()), "message": found.message}))
"""


@pytest.fixture(scope="module")
def official(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the files, counting what they assert."""
    if not ARCHIVE.exists():
        if os.environ.get("CI"):
            pytest.fail(f"the official test files are not there: {FETCH}")
        pytest.skip(f"the official test files are not there: {FETCH}")
    folder = tmp_path_factory.mktemp("lua")
    with tarfile.open(ARCHIVE) as files:
        for each in files.getmembers():
            path = Path(each.name)
            if path.parts[1:-1] == ("third-party", "lua54", "testes") and path.suffix == ".lua":
                extracted = files.extractfile(each)
                assert extracted is not None
                (folder / path.name).write_bytes(_counted(path.stem, extracted.read()))
    return folder


def _counted(name: str, source: bytes) -> bytes:
    text = source.decode("utf-8", "replace") if name == "strings" else source.decode("latin-1")
    lines = ("--" + text if text.startswith("#") else text).split("\n")
    for first, last in LEFT_OUT.get(name, ()):
        lines[first - 1 : last] = [""] * len(lines[first - 1 : last])
    code = "\n".join(lines)
    made = code.encode() if name == "strings" else code.encode("latin-1")
    return COUNTING + made if name in FILES else made


@pytest.mark.parametrize("name", FILES)
async def test_a_file_does_what_it_does_in_the_bare_library(official: Path, isolated: Path, name: str) -> None:
    main = MAIN.replace("FILE", name)
    done = subprocess.run(
        [sys.executable, "-c", BARE, main], capture_output=True, text=True, cwd=official, timeout=100, check=False
    )
    assert done.returncode == 0, done.stderr[-2000:]
    bare = json.loads(done.stdout)
    (official / "main_of_ours.lua").write_text(main)
    files = {"file_operations": {"allowed_paths": [str(official)]}}
    async with Runtime(
        {"engines": {"lua": {"max_memory_bytes": 400_000_000}}, "tools": files}, cwd=official
    ) as runtime:
        ours = (await runtime.run_script(path=official / "main_of_ours.lua", timeout=100)).value
    assert (sorted(set(ours["failed"] or [])), ours.get("message")) == (sorted(set(bare["failed"])), bare["message"])
    assert bare["message"] is None
