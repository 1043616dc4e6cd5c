"""Where a hostile script sends requests, and what it puts into them: both languages, the real tool, a real server."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from pytest_httpserver import HTTPServer

from llmspell_core.errors import ValidationError
from llmspell_core.runtime import Runtime

LANGUAGES = pytest.mark.parametrize("language", ["lua", "javascript"])
ASK = {
    "lua": """
        local answered = {}
        for _, request in ipairs(JSON.parse(ARGS.requests)) do
          request.retry = {max_attempts = 1}
          local ok, answer = pcall(Tool.execute, "http-request", request)
          if ok and answer.success then answered[#answered + 1] = request.input end
        end
        return table.concat(answered, ", ")
    """,
    "javascript": """
        const answered = [];
        for (const request of JSON.parse(ARGS.requests)) {
          request.retry = {max_attempts: 1};
          try {
            const answer = await Tool.execute("http-request", request);
            if (answer.success) answered.push(request.input);
          } catch (error) { if (!error.message) throw error; }
        }
        return answered.join(", ");
    """,
}
WAYS = ("127.0.0.1", "127.1", "2130706433", "0x7f000001", "0.0.0.0", "localhost", "LOCALHOST.", "a.localhost", "[::1]", "[::]",
        "[::ffff:127.0.0.1]", "[::ffff:7f00:1]", "[2002:7f00:1::]", "[64:ff9b::7f00:1]")  # fmt: skip


async def ask(language: str, requests: list[dict[str, Any]], config: dict[str, Any], cwd: Path) -> Any:
    async with Runtime(config, cwd=cwd) as runtime:
        source, args = ASK[language], {"requests": json.dumps(requests)}
        return (await runtime.run_script(source, engine=language, args=args, timeout=60)).value


@LANGUAGES
@pytest.mark.parametrize("blocked", [["127.0.0.0/8", "::1"], ["localhost"]])
async def test_a_blocked_host_is_reached_by_no_way(
    language: str, blocked: list[str], httpserver: HTTPServer, isolated: Path
) -> None:
    """Under the profile that may reach everything else."""
    httpserver.expect_request("/").respond_with_data("reached")
    config = {"runtime": {"security": {"profile": "low"}}, "tools": {"http_request": {"blocked_hosts": blocked}}}
    requests = [{"input": f"http://{way}:{httpserver.port}/"} for way in WAYS]
    assert await ask(language, requests, config, isolated) == ""
    assert httpserver.log == []


@LANGUAGES
async def test_by_default_nothing_on_this_machine_answers(
    language: str, httpserver: HTTPServer, isolated: Path
) -> None:
    httpserver.expect_request("/").respond_with_data("reached")
    ports = (httpserver.port, 8000, 1234, 11434)
    requests = [{"input": f"http://{way}:{port}/"} for way in WAYS for port in ports]
    assert await ask(language, requests, {}, isolated) == ""
    assert httpserver.log == []


@LANGUAGES
async def test_no_request_is_smuggled(language: str, httpserver: HTTPServer, isolated: Path) -> None:
    httpserver.expect_request("/").respond_with_data("reached")
    url = f"http://127.0.0.1:{httpserver.port}/"
    bad: list[dict[str, Any]] = [
        {"headers": {"Content-Length": "5"}}, {"headers": {"Transfer-Encoding": "chunked"}}, {"headers": {"Host": "x"}},
        {"headers": {"X-A": "1\r\n\r\nGET /secret HTTP/1.1"}}, {"headers": {"X-A\r\nX-B": "1"}}, {"headers": {"X-A": "1", "x-a": "2"}},
        {"headers": {"Authorization": "1"}, "auth": {"type": "bearer", "token": "2"}},
        {"auth": {"type": "bearer", "token": "2\n"}}, {"auth": {"type": "api_key", "key": "2", "header_name": "Content-Length"}},
    ]  # fmt: skip
    requests = [{"input": url, "method": "POST", "body": "hello", **each} for each in bad]
    config = {"tools": {"http_request": {"allowed_hosts": ["127.0.0.1"]}}}
    assert await ask(language, [*requests, {"input": url}], config, isolated) == url
    assert len(httpserver.log) == 1


@pytest.mark.parametrize(("language", "comment"), [("lua", "--"), ("javascript", "//")])
async def test_a_misspelt_header_of_a_script_runs_nothing(language: str, comment: str, isolated: Path) -> None:
    async with Runtime({}, cwd=isolated) as runtime:
        for header in ("llmspell: securty=high", "llmspell: security=hgih", "llmspell security=high"):
            with pytest.raises(ValidationError, match=r"security profile"):
                await runtime.run_script(f"{comment} {header}\nreturn 1", engine=language)
