"""What scripts of both languages expect of their surroundings: the environment, the network, modules, files of a third language."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from pytest_httpserver import HTTPServer
from werkzeug import Request, Response

from llmspell_core.testing.fixtures import CliResult

Cli = Callable[..., CliResult]

FETCH = """
const found = {};
const plain = await fetch(base + "/text");
const kind = plain.headers.get("Content-Type");
found.plain = [plain.status, plain.ok, plain.statusText, kind, await plain.text(), plain.url === base + "/text"];
const data = await (await fetch(new URL("/json", base))).json();
found.data = [data.a, data.b];
found.exact = await (await fetch(base + "/json")).text();
const bytes = new Uint8Array(await (await fetch(base + "/bytes")).arrayBuffer());
found.bytes = [...bytes];
const sent = await fetch(base + "/echo", { method: "POST", headers: { "X-Own": "1" }, body: new URLSearchParams({ q: "a b" }) });
found.sent = await sent.json();
const missing = await fetch(base + "/missing");
found.missing = [missing.status, missing.ok];
const stop = new AbortController();
setTimeout(() => stop.abort(), 20);
found.aborted = await fetch(base + "/slow", { signal: stop.signal }).catch((e) => e.name);
found.refused = await fetch("http://10.0.0.1/").catch((e) => [e instanceof TypeError, e.message.includes("10.0.0.1")]);
found.wrong = await fetch("nonsense").catch((e) => e instanceof TypeError);
print(JSON.stringify(found));
"""


@pytest.fixture
def base(httpserver: HTTPServer) -> str:
    def echo(request: Request) -> Response:
        told = {"method": request.method, "own": request.headers.get("X-Own"), "kind": request.content_type}
        return Response(json.dumps(told | {"body": request.get_data(as_text=True)}), content_type="application/json")

    httpserver.expect_request("/text").respond_with_data("hällo", content_type="text/plain; charset=utf-8")
    httpserver.expect_request("/json").respond_with_data(
        '{"a": 9007199254740991,  "b": [null]}', content_type="application/json"
    )
    httpserver.expect_request("/bytes").respond_with_data(b"\x00\xff\x80", content_type="application/octet-stream")
    httpserver.expect_request("/echo").respond_with_handler(echo)
    httpserver.expect_request("/slow").respond_with_handler(lambda _: __import__("time").sleep(0.3) or Response("late"))
    return f"http://127.0.0.1:{httpserver.port}"


def test_fetch_is_the_http_tool_under_its_policy(
    invoke_cli: Cli, trusted_settings: Callable[[str], Path], base: str
) -> None:
    trusted_settings('[tools.http_request]\nallowed_hosts = ["127.0.0.1"]')
    done = invoke_cli("exec", "--engine", "js", f"const base = {json.dumps(base)};\n{FETCH}")
    found = json.loads(done.assert_success().stdout)
    assert found == {
        "plain": [200, True, "OK", "text/plain; charset=utf-8", "hällo", True],
        "data": [9007199254740991, [None]],
        "exact": '{"a": 9007199254740991,  "b": [null]}',
        "bytes": [0, 255, 128],
        "sent": {
            "method": "POST",
            "own": "1",
            "kind": "application/x-www-form-urlencoded;charset=UTF-8",
            "body": "q=a+b",
        },
        "missing": [500, False],
        "aborted": "AbortError",
        "refused": [True, True],
        "wrong": True,
    }


def test_the_high_profile_has_no_fetch(invoke_cli: Cli) -> None:
    done = invoke_cli("--security-profile", "high", "exec", "--engine", "js", "print(typeof fetch, typeof URL)")
    assert done.assert_success().stdout == "undefined function\n"


@pytest.mark.parametrize(
    ("engine", "code"),
    [
        ("lua", "print(os.getenv('SEEN'), os.getenv('HIDDEN'))"),
        ("js", "print(process.env.SEEN, process.env.HIDDEN ?? 'nil')"),
    ],
)
def test_scripts_see_the_variables_that_the_policy_names(
    invoke_cli: Cli, trusted_settings: Callable[[str], Path], engine: str, code: str
) -> None:
    trusted_settings('[tools.system]\nallowed_env_vars = ["SEEN"]')
    done = invoke_cli("exec", "--engine", engine, code, env={"SEEN": "yes", "HIDDEN": "no"})
    assert done.assert_success().stdout.split() == ["yes", "nil"]


@pytest.mark.parametrize(
    ("engine", "code"),
    [
        ("lua", "print(require('beside').n, require('lib.inner').n)"),
        ("js", "print(require('./beside').n, (await import('./lib/inner.mjs')).n)"),
    ],
)
def test_source_without_a_file_finds_modules_where_one_works(
    invoke_cli: Cli, isolated: Path, engine: str, code: str
) -> None:
    (isolated / "lib").mkdir()
    (isolated / "beside.lua").write_text("return {n = 1}")
    (isolated / "lib" / "inner.lua").write_text("return {n = 2}")
    (isolated / "beside.js").write_text("exports.n = 1")
    (isolated / "lib" / "inner.mjs").write_text("import { n as one } from '../one.mjs'; export const n = one + 1")
    (isolated / "one.mjs").write_text("export const n = 1")
    assert invoke_cli("exec", "--engine", engine, code).assert_success().stdout.split() == ["1", "2"]


def test_a_file_of_a_third_language_is_not_run_as_lua(invoke_cli: Cli, isolated: Path) -> None:
    (isolated / "typed.ts").write_text("const x: number = 1;")
    done = invoke_cli("run", "typed.ts")
    assert done.exit_code != 0
    assert "typed.ts is no JavaScript yet" in done.stderr
    assert "esbuild" in done.stderr


@pytest.mark.parametrize(
    ("engine", "code", "advice"),
    [
        ("lua", "io.popen('ls')", "the profile low has it"),
        ("lua", "os.remove('x')", "file-operations"),
        ("lua", "string.dump(print)", "load takes text"),
        ("lua", "debug.sethook()", "traceback and getinfo"),
        ("js", "Buffer.from('x')", "Uint8Array"),
        ("js", "new Intl.NumberFormat()", "toFixed"),
        ("js", "crypto.subtle.digest('x')", "hash-calculator"),
        ("js", "require('fs')", "file-operations"),
    ],
)
def test_what_is_left_out_on_purpose_comes_with_what_to_use_instead(
    invoke_cli: Cli, engine: str, code: str, advice: str
) -> None:
    done = invoke_cli("exec", "--engine", engine, code)
    assert done.exit_code == 1
    assert advice in done.stderr
    assert "Did you mean" not in done.stderr


def test_what_scripts_find_beyond_the_language_hides_no_global(invoke_cli: Cli) -> None:
    code = """
        print(typeof Event, typeof Event.publish, Object.getOwnPropertyDescriptor(globalThis, 'URL').get !== undefined);
        const target = new EventTarget(); target.addEventListener('x', (e) => print(e.type)); target.dispatchEvent({ type: 'x' });"""
    assert invoke_cli("exec", "--engine", "js", code).assert_success().stdout == "object function true\nx\n"
