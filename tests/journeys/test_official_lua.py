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
LEFT_OUT_54: dict[str, list[tuple[int, int]]] = {
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

LEFT_OUT_55: dict[str, list[tuple[int, int]]] = {
    "calls": [(210, 219), (361, 362), (365, 372), (375, 380), (382, 382), (399, 403), (422, 424), (429, 442), (459, 465),
              (485, 538), (541, 563)],  # and debug.getinfo(1, "t").extraargs
    "closure": [(252, 277)],
    "coroutine": [(130, 139), (400, 417), (1028, 1034)],  # an endless recursion ends with "not enough memory" under 5.5
    "errors": [(260, 266), (298, 298), (302, 314), (365, 365), (654, 662)],
    "events": [(196, 196), (461, 486)],
    "goto": [(196, 227)],
    "locals": [(78, 80), (84, 84), (86, 86), (829, 853)],
    "sort": [(76, 85)],
}  # fmt: skip
LEFT_OUT = {"lua54": LEFT_OUT_54, "lua55": LEFT_OUT_55}

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
from importlib import import_module
vm = import_module("lupa." + sys.argv[2]).LuaRuntime(encoding="latin-1", unpack_returned_tuples=True)
vm.execute("io.write = function () end")
found = vm.execute(sys.argv[1])
print(json.dumps({"passed": found.passed, "failed": list(found.failed.values()), "message": found.message}))
"""


@pytest.fixture(scope="module")
def official(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A folder for each variant with its files, counting what they assert."""
    if not ARCHIVE.exists():
        if os.environ.get("CI"):
            pytest.fail(f"the official test files are not there: {FETCH}")
        pytest.skip(f"the official test files are not there: {FETCH}")
    folders = {variant: tmp_path_factory.mktemp(variant) for variant in LEFT_OUT}
    with tarfile.open(ARCHIVE) as files:
        for each in files.getmembers():
            path = Path(each.name)
            variant = path.parts[2] if len(path.parts) == 5 else ""
            if variant in folders and path.parts[1::2] == ("third-party", "testes") and path.suffix == ".lua":
                extracted = files.extractfile(each)
                assert extracted is not None
                (folders[variant] / path.name).write_bytes(_counted(variant, path.stem, extracted.read()))
    return folders


def _counted(variant: str, name: str, source: bytes) -> bytes:
    text = source.decode("utf-8", "replace") if name == "strings" else source.decode("latin-1")
    if name == "tracegc":
        text = text.replace('require"debug".setmetatable', "setmetatable")
    lines = ("--" + text if text.startswith("#") else text).split("\n")
    for first, last in LEFT_OUT[variant].get(name, ()):
        lines[first - 1 : last] = [""] * len(lines[first - 1 : last])
    code = "\n".join(lines)
    made = code.encode() if name == "strings" else code.encode("latin-1")
    return COUNTING + made if name in FILES else made


@pytest.mark.parametrize("variant", LEFT_OUT)
@pytest.mark.parametrize("name", FILES)
async def test_a_file_does_what_it_does_in_the_bare_library(
    official: dict[str, Path], isolated: Path, name: str, variant: str
) -> None:
    folder, main = official[variant], MAIN.replace("FILE", name)
    done = subprocess.run(
        [sys.executable, "-c", BARE, main, variant],
        capture_output=True,
        text=True,
        cwd=folder,
        timeout=100,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    bare = json.loads(done.stdout)
    (folder / "main_of_ours.lua").write_text(main)
    files = {"file_operations": {"allowed_paths": [str(folder)]}}
    async with Runtime(
        {"engines": {"lua": {"max_memory_bytes": 400_000_000, "variant": variant}}, "tools": files}, cwd=folder
    ) as runtime:
        ours = (await runtime.run_script(path=folder / "main_of_ours.lua", timeout=100)).value
    assert (sorted(set(ours["failed"] or [])), ours.get("message")) == (sorted(set(bare["failed"])), bare["message"])
    assert bare["message"] is None
