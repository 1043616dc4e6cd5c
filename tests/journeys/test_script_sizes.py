"""Texts of ordinary sizes in a script of either language: they work, or end in one error that says what to do."""

from __future__ import annotations

import http.server
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

PIECES = {"ascii": b"abcdefgh\n", "emoji": "\U0001f600\u00e9".encode(), "binary": b"\xff\x00\x01"}
TYPES = {"ascii": "text/plain", "emoji": "text/plain; charset=utf-8", "binary": "application/octet-stream"}


class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        _, size, kind = self.path.split("/")
        body = PIECES[kind] * (int(size) // len(PIECES[kind]))
        self.send_response(200)
        self.send_header("Content-Type", TYPES[kind])
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture(scope="module")
def address() -> Iterator[str]:
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"127.0.0.1:{server.server_port}"
        server.shutdown()


LUA = """
local function try(name, work)
  local ok, value = pcall(work)
  print(name .. ": " .. (ok and "ok " or "error ") .. tostring(value):sub(1, 300):gsub("\\n", " "))
  collectgarbage()
end
for _, kind in ipairs { "ascii", "emoji", "binary" } do
  for _, size in ipairs { 1000000, 10000000, 48000000 } do
    try("fetch " .. kind .. " " .. size, function()
      local found = Tool.execute("http-request", { method = "GET", url = "http://ADDRESS/" .. size .. "/" .. kind })
      return #found.result.body .. " " .. tostring(found.metadata.response.result == found.result)
    end)
  end
end
for _, name in ipairs { "ascii1", "ascii10", "emoji10", "binary10", "ascii48" } do
  try("read " .. name, function()
    local found = Tool.execute("file-operations", { operation = "read", path = name })
    return #found.text .. " " .. tostring(found.response == found.text and found.content == found.text)
  end)
end
for _, size in ipairs { 1000000, 10000000 } do
  local text = string.rep("x", size)
  try("pass " .. size, function()
    local found = Tool.execute("text-manipulator", { operation = "uppercase", input = text })
    return #found.text > size
  end)
  try("state " .. size, function() State.set("big", text) return #State.get("big") end)
  try("throw " .. size, function() error(text) end)
end
try("alive", function() return Tool.execute("calculator", { expression = "6 * 7" }).result.value end)
print(string.rep("\\u{e9}", 5000000))
"""

JAVASCRIPT = """
async function attempt(name, work) {
  let said;
  try { said = "ok " + await work(); } catch (error) { said = "error " + error.message; }
  console.log(name + ": " + said.slice(0, 300).replaceAll("\\n", " "));
}
for (const kind of ["ascii", "emoji", "binary"]) for (const size of [1000000, 10000000, 48000000]) {
  await attempt(`fetch ${kind} ${size}`, async () => {
    const found = await Tool.execute("http-request", { method: "GET", url: `http://ADDRESS/${size}/${kind}` });
    return found.result.body.length + " " + (found.metadata.response.result === found.result);
  });
}
for (const name of ["ascii1", "ascii10", "emoji10", "binary10", "ascii48"]) await attempt(`read ${name}`, async () => {
  const found = await Tool.execute("file-operations", { operation: "read", path: name });
  return found.text.length + " " + (found.response === found.text && found.content === found.text);
});
for (const size of [1000000, 10000000]) {
  const text = "x".repeat(size);
  await attempt(`pass ${size}`, async () => {
    const found = await Tool.execute("text-manipulator", { operation: "uppercase", input: text });
    return found.text.length > size;
  });
  await attempt(`state ${size}`, () => { State.set("big", text); return State.get("big").length; });
  await attempt(`throw ${size}`, () => { throw new Error(text); });
}
await attempt("alive", async () => (await Tool.execute("calculator", { expression: "6 * 7" })).result.value);
console.log("\\u{e9}".repeat(5000000));
"""
SCRIPTS = {"lua": LUA, "js": JAVASCRIPT}
EMOJI = {"lua": 1, "js": 2}
"""Bytes for one of what the language counts in `PIECES["emoji"]`: bytes, or halves of three UTF-16 units in six bytes."""


@pytest.mark.parametrize("language", SCRIPTS)
def test_texts_of_ordinary_sizes_work_or_end_in_one_error_that_says_what_to_do(
    language: str, address: str, tmp_path: Path
) -> None:
    for name, kind, size in (
        ("ascii1", "ascii", 1), ("ascii10", "ascii", 10), ("emoji10", "emoji", 10), ("binary10", "binary", 10),
        ("ascii48", "ascii", 48),
    ):  # fmt: skip
        (tmp_path / name).write_bytes(PIECES[kind] * (size * 1_000_000 // len(PIECES[kind])))
    (tmp_path / f"sizes.{language}").write_text(SCRIPTS[language].replace("ADDRESS", address))
    (tmp_path / "open.toml").write_text(f'[tools.http_request]\nallowed_hosts = ["{address}"]\n')
    command = [sys.executable, "-m", "llmspell_core", "-c", "open.toml", "run", f"sizes.{language}", "--timeout", "100"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=150)
    assert done.returncode == 0, done.stderr
    lines = dict(line.split(": ", 1) for line in done.stdout.splitlines() if ": " in line[:40])
    emoji = EMOJI[language]
    assert lines["fetch ascii 1000000"] == "ok 999999 true"
    assert lines["fetch ascii 10000000"] == "ok 9999999 true"
    assert lines["fetch emoji 10000000"] == f"ok {9999996 // emoji} true"
    assert lines["fetch binary 10000000"] == "ok 13333332 true"
    assert lines["read ascii10"] == "ok 9999999 true"
    assert lines["read emoji10"] == f"ok {9999996 // emoji} true"
    assert "is not utf-8 text" in lines["read binary10"]
    for name in ("fetch ascii 48000000", "fetch emoji 48000000", "fetch binary 48000000"):
        assert lines[name].startswith("error "), lines[name]
        assert "bytes of memory; the script may use 50,000,000 and has" in lines[name]
    assert lines["pass 1000000"] == lines["pass 10000000"] == "ok true"
    assert lines["state 1000000"] == "ok 1000000"
    assert lines["state 10000000"] == "ok 10000000" or "no room in the state" in lines["state 10000000"]
    assert lines["throw 10000000"].startswith("error ")
    assert lines["alive"] == "ok 42"
    assert done.stdout.count("\u00e9") == 5_000_000


@pytest.mark.parametrize("language", ["lua", "javascript"])
def test_ten_megabytes_go_through_the_steps_of_a_workflow(run_script: Any, language: str) -> None:
    source = """local big = ("x"):rep(10000000)
        local r = Workflow.sequential{name = "w", steps = {{name = "a", execute = function() return big end},
          {name = "b", execute = function(ctx) return #ctx.steps.a end}}}:execute({})
        return {#r.outputs.a, #r.data.a, r.outputs.b, r.output}"""
    if language == "javascript":
        source = """const big = "x".repeat(10000000)
            const r = await Workflow.sequential({name: "w", steps: [{name: "a", execute: () => big},
              {name: "b", execute: (ctx) => ctx.steps.a.length}]}).execute({})
            return [r.outputs.a.length, r.data.a.length, r.outputs.b, r.output]"""
    assert run_script(source, language).value == [10_000_000] * 4
