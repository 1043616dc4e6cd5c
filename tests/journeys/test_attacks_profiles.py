"""What a hostile script gets in each security profile, in both languages, from a whole runtime: the answer is in a table.

What a virtual machine itself has to withstand (loops, bombs, its own library) is attacked in the engines' tests.
"""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import threading
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from llmspell_core.errors import ScriptError
from llmspell_core.runtime import Runtime

LANGUAGES = ("lua", "javascript")
PROFILES = ("low", "medium", "high")
SECRET = "sk-the-secret-of-this-test"
SUFFIX = {"lua": "lua", "javascript": "js"}


class Attack(NamedTuple):
    """`lua` and `javascript` are expressions; `works`: the profiles in which they are answered, with something true."""

    lua: str
    javascript: str
    works: tuple[str, ...] = ()


def tool(name: str, **parameters: str) -> Attack:
    pairs = parameters.items()
    lua = f"Tool.execute('{name}', {{{', '.join(f'{k} = {v!r}' for k, v in pairs)}}}).success"
    javascript = f"(await Tool.execute('{name}', {{{', '.join(f'{k}: {v!r}' for k, v in pairs)}}})).success"
    return Attack(lua, javascript)


def also(attack: Attack, *works: str) -> Attack:
    return attack._replace(works=works)


NEVER = "undefined"
FILES = {
    "read its own folder": also(tool("file-operations", operation="read", path="own.txt"), "low", "medium"),
    "read outside": also(tool("file-operations", operation="read", path="../outside.txt"), "low"),
    "read through a link": also(tool("file-operations", operation="read", path="link.txt"), "low"),
    "read a system file": tool("file-operations", operation="read", path="/etc/passwd"),
    "read the memory of processes": tool("file-operations", operation="read", path="/proc/self/environ"),
    "write its configuration": tool("file-operations", operation="write", path="llmspell.toml", content="[runtime]"),
    "write a program": tool("file-operations", operation="write", path="x.so", content="x"),
    "write outside": also(tool("file-operations", operation="write", path="../new.txt", content="x"), "low"),
    "open": Attack("assert(io.open('own.txt')):read('a')", NEVER, ("low", "medium")),
    "open outside": Attack("assert(io.open('../outside.txt')):read('a')", NEVER, ("low",)),
    "open a system file": Attack("assert(io.open('/etc/passwd')):read('a')", "await import('/etc/passwd')"),
    "open the configuration to write": Attack("assert(io.open('llmspell.toml', 'w'))", NEVER),
    "run a file": Attack("dofile('value.lua')", "require('./value')", ("low", "medium")),
    "run a system file": Attack("dofile('/etc/passwd')", "require('/etc/passwd')"),
    "require upwards": Attack("require('../outside')", "require('../outside')"),
    "remove": Attack("os.remove('own2.txt')", NEVER, ("low",)),
    "its process": tool("file-operations", operation="read", path="/proc/self/root/etc/passwd"),
    "its process by descriptor": tool("file-operations", operation="read", path="/dev/fd/0"),
    "a key of its owner": tool("file-operations", operation="read", path="~/.ssh/id_rsa"),
    "open the memory of processes": Attack("assert(io.open('/proc/self/mem', 'r+'))", NEVER),
    "open two dots behind a link": also(Attack("assert(io.open('linked/../outside.txt')):read('a')", NEVER), "low"),
    "wait for a pipe": Attack(
        "assert(io.open('pipe')):read('a')",
        "(await Tool.execute('file-operations', {operation: 'read', path: 'pipe'})).success",
    ),
    "rename to a configuration": tool(
        "file-operations", operation="move", source_path="own3.txt", target_path="sub/llmspell.toml"
    ),
    "a configuration for later": tool("file-operations", operation="write", path="llmspell.prod.toml", content="x"),
    "a name without end": tool("file-operations", operation="read", path="x" * 5000),
    "a name with an end": Attack("assert(io.open('own.txt\\0.lua'))", NEVER),
    "load a C library": Attack("package.loadlib('libc.so.6', 'system')", "require('os')"),
}
NETWORK = {
    "a private address": also(tool("http-request", method="GET", url="http://127.0.0.1:{port}/"), "low"),
    "a private name": also(tool("http-request", method="GET", url="http://localhost:{port}/"), "low"),
    "the cloud's credentials": tool("http-request", method="GET", url="http://169.254.169.254/latest/meta-data/"),
    "a file as address": tool("http-request", method="GET", url="file:///etc/passwd"),
    "the shell's port": tool("http-request", method="GET", url="http://127.0.0.1:22/"),
    "a number as address": also(tool("http-request", method="GET", url="http://2130706433:{port}/"), "low"),
    "an address within another": also(
        tool("http-request", method="GET", url="http://[::ffff:127.0.0.1]:{port}/"), "low"
    ),
    "a user as host": also(tool("http-request", method="GET", url="http://example.org@127.0.0.1:{port}/"), "low"),
    "a model's server": Attack(
        "Agent.builder():model('openai/x'):base_url('http://127.0.0.1:{port}'):api_key('k'):build():execute('x')",
        "await Agent.builder().model('openai/x').base_url('http://127.0.0.1:{port}').api_key('k').build().execute('x')",
    ),
    "a provider's server": Attack(
        "Config.setProvider('own', {provider_type = 'openai', defaults = {api_base = 'http://127.0.0.1:{port}'}}) "
        "or Agent.builder():model('own/x'):build():execute('x')",
        "Config.setProvider('own', {provider_type: 'openai', defaults: {api_base: 'http://127.0.0.1:{port}'}}) "
        "|| await Agent.builder().model('own/x').build().execute('x')",
    ),
    "the configured key elsewhere": Attack(
        "Config.set('providers.openai.api_base', 'http://127.0.0.1:{port}') or true",
        "Config.set('providers.openai.api_base', 'http://127.0.0.1:{port}') ?? true",
    ),
    "a socket": Attack("require('socket').tcp()", "require('net').connect({port})"),
    "a fetch": Attack(NEVER, "await fetch('http://127.0.0.1:{port}')", ("low",)),  # it is the tool
}
PROCESS = {
    "execute": Attack("os.execute('touch pwned')", "require('child_process').execSync('touch pwned')"),
    "popen": Attack("io.popen('touch pwned')", "std.popen('touch pwned')"),
    "the tool": tool("process-executor", executable="touch", arguments="pwned"),
    "a foreign function": Attack("require('ffi').C.system('touch pwned')", "os.exec(['touch', 'pwned'])"),
    "the host's language": Attack("python.eval('1')", "Python.eval('1')"),
    "the kernel of the engine": Attack("debug.getregistry()", "$ask('Script.module', '[]', '')"),
}
ENVIRONMENT = {
    "a key": Attack("os.getenv('OPENAI_API_KEY')", "process.env.OPENAI_API_KEY"),
    "a name that is not a secret's": Attack("os.getenv('HOME')", "process.env.HOME"),
    "what is allowed": Attack("os.getenv('SEEN_BY_SCRIPTS')", "process.env.SEEN_BY_SCRIPTS", ("low", "medium")),
    "a key in the configuration": Attack(
        "tostring(Config.get('providers.openai.api_key')):find('secret', 1, true)",
        "`${Config.get('providers.openai.api_key')}`.includes('secret')",
    ),
    "a key in all of it": Attack(
        "JSON.stringify(Config.getProvider('openai') or {}):find('sk-the', 1, true)",
        "JSON.stringify(Config.getProvider('openai') ?? {}).includes('sk-the')",
    ),
}
TRICKS = {
    "the table of strings": Attack("getmetatable('').__index", "await (async () => 1).constructor('return $bridge')()"),
    "byte code": Attack("load('\\27Lua', 'x', 'b')()", "new WebAssembly.Module(new Uint8Array(8))"),
    "dumped code": Attack("string.dump(print)", "print.caller"),
    "attributes of a host function": Attack("Tool.execute.__globals__", "Tool.execute.__globals__"),
    "attributes of a host object": Attack("Tool.get('calculator').__class__", "Tool.get('calculator').__class__"),
    "the private part of an object": Attack(
        "getmetatable(Tool.get('calculator')).__index.x", "Tool.get('calculator').constructor.constructor('return $bridge')()"
    ),
    "a forged object": Attack("Tool.get('calculator').execute({id = 1})", "await Tool.get('calculator').execute.call({id: 1}, {})"),
    "the prototype of the host's data": Attack(
        "JSON.parse('{\"__index\": {\"x\": 1}}').x", "JSON.parse('{\"__proto__\": {\"x\": 1}}').x"
    ),
    "another level of security": Attack("Config.set('runtime.security.profile', 'low')", "Config.set('runtime.security.profile', 'low')"),
    "a stricter tool made mild": Attack(
        "Tool.register({name = 'file-operations'}, print)", "Tool.register({name: 'file-operations'}, print)"
    ),
}  # fmt: skip
ATTACKS = {"files": FILES, "network": NETWORK, "process": PROCESS, "environment": ENVIRONMENT, "tricks": TRICKS}
CASES = [
    pytest.param(language, profile, kind, name, id=f"{language}-{profile}-{kind}-{name}")
    for language in LANGUAGES
    for profile in PROFILES
    for kind, attacks in ATTACKS.items()
    for name in attacks
]

TRY = {
    "lua": "do local ok, value = pcall(function() return {code} end) "
    "results[{name}] = ok and value ~= nil and value ~= false and 'did it' or tostring(value) end",
    "javascript": "try {{ const value = {code}; results[{name}] = value ? 'did it' : `${{value}}` }} "
    "catch (e) {{ results[{name}] = `${{e.message}}` }}",
}
FRAME = {
    "lua": "local results = {{}}\n{body}\nreturn results",
    "javascript": "const results = {{}};\n{body}\nreturn results",
}


class Web:
    """A server that counts who came."""

    def __init__(self) -> None:
        self.visits = 0
        self._socket = socket.create_server(("127.0.0.1", 0))
        self.port = self._socket.getsockname()[1]
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self) -> None:
        while True:
            try:
                visitor, _ = self._socket.accept()
            except OSError:
                return
            self.visits += 1
            with visitor:
                visitor.recv(65536)
                visitor.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok")

    def close(self) -> None:
        self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()


@pytest.fixture(scope="module")
def outcomes() -> dict[tuple[str, str], dict[str, str]]:
    """(language, profile) -> what its script said, filled by the first test that asks."""
    return {}


@pytest.fixture
def folder(isolated: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The script's folder, and around it what it must not have."""
    inner = isolated / "inner"
    inner.mkdir()
    (isolated / "outside.txt").write_text(SECRET)
    (isolated / "outside.lua").write_text("return 1")
    (isolated / "outside.js").write_text("module.exports = 1")
    (inner / "own.txt").write_text("mine")
    (inner / "own2.txt").write_text("mine")
    (inner / "own3.txt").write_text("[runtime.security]")
    (inner / "sub").mkdir()
    (isolated / "else").mkdir()
    (inner / "linked").symlink_to(isolated / "else")
    os.mkfifo(inner / "pipe")
    (inner / "value.lua").write_text("return 1")
    (inner / "value.js").write_text("module.exports = 1")
    (inner / "link.txt").symlink_to(isolated / "outside.txt")
    (inner / "llmspell.toml").write_text("")
    monkeypatch.chdir(inner)
    monkeypatch.setenv("OPENAI_API_KEY", SECRET)
    monkeypatch.setenv("SEEN_BY_SCRIPTS", "yes")
    return inner


def settings(profile: str, folder: Path) -> dict[str, Any]:
    """The profile, with the folder as the only place instead of the temporary directory, where tests live."""
    more: dict[str, Any] = {"security": {"sandbox": {"allowed_env_vars": ["SEEN_*"]}}}
    if profile == "medium":
        more["tools"] = {"file_operations": {"allowed_paths": [str(folder)]}}
    return {"runtime": {"security": {"profile": profile}}, **more}


async def attacked(language: str, profile: str, folder: Path) -> dict[str, str]:
    web = Web()
    body = "\n".join(
        TRY[language].format(name=repr(f"{kind} {name}"), code=getattr(attack, language))
        for kind, attacks in ATTACKS.items()
        for name, attack in attacks.items()
    ).replace("{port}", str(web.port))
    script = folder / f"attack.{SUFFIX[language]}"
    script.write_text(FRAME[language].format(body=body))
    async with Runtime(settings(profile, folder), cwd=folder) as runtime:
        result = await runtime.run_script(path=script, timeout=20)
    web.close()
    assert not (folder / "pwned").exists()
    assert not (folder / "sub" / "llmspell.toml").exists()
    assert (folder / "llmspell.toml").read_text() == ""
    assert (web.visits > 0) == (profile == "low")
    assert SECRET not in str(result.value)
    found: dict[str, str] = result.value
    return found


@pytest.mark.parametrize(("language", "profile", "kind", "name"), CASES)
async def test_an_attack_gets_what_its_profile_allows(
    outcomes: dict[tuple[str, str], dict[str, str]], folder: Path, language: str, profile: str, kind: str, name: str
) -> None:
    if (language, profile) not in outcomes:
        outcomes[language, profile] = await attacked(language, profile, folder)
    said = outcomes[language, profile][f"{kind} {name}"]
    attack = ATTACKS[kind][name]
    works = profile in attack.works and getattr(attack, language) != NEVER
    assert (said == "did it") == works, said
    assert "Traceback" not in said


ENDLESS = {
    "lua": "while true do pcall(function() while true do end end) end",
    "javascript": "for (;;) { try { for (;;); } catch {} }",
}
HUNGRY = {
    "lua": "local t = {} while true do t[#t + 1] = ('x'):rep(1e5) .. #t end",
    "javascript": "const a = []; while (true) a.push('x'.repeat(1e5) + a.length)",
}


@pytest.mark.parametrize("profile", PROFILES)
@pytest.mark.parametrize("language", LANGUAGES)
async def test_time_ends_in_every_profile(folder: Path, language: str, profile: str) -> None:
    started = time.monotonic()
    limits = {"runtime": {"security": {"profile": profile, "max_execution_time_ms": 300}}}
    async with Runtime(limits, cwd=folder) as runtime:
        with pytest.raises(ScriptError) as caught:
            await runtime.run_script(ENDLESS[language], engine=language)
    assert caught.value.phase == "deadline"
    assert time.monotonic() - started < 3


@pytest.mark.parametrize("profile", PROFILES)
@pytest.mark.parametrize("language", LANGUAGES)
async def test_memory_ends_in_every_profile(folder: Path, language: str, profile: str) -> None:
    limits = {"runtime": {"security": {"profile": profile, "max_memory_bytes": 16_000_000}}}
    async with Runtime(limits, cwd=folder) as runtime:
        with pytest.raises(ScriptError) as caught:
            await runtime.run_script(HUNGRY[language], engine=language, timeout=8)
    assert caught.value.phase in {"memory", "runtime"}
    assert "memory" in caught.value.message


LEAK = {
    "lua": ("leaked = 'x' string.leaked = 'x' Tool.leaked = 'x'", "return {leaked or false, string.leaked or false, Tool.leaked or false}"),
    "javascript": (
        "globalThis.leaked = 1; Object.prototype.leaked2 = 1; Tool.leaked = 1;",
        "return [typeof leaked !== 'undefined', ({}).leaked2 ?? false, Tool.leaked ?? false]",
    ),
}  # fmt: skip
MAKES = {
    "lua": "Tool.create({name = 'mine', description = 'd', parameters = {}, handler = function() return 'x' end}) ",
    "javascript": "Tool.create({name: 'mine', description: 'd', parameters: {}, handler: () => 'x'}); ",
}


@pytest.fixture
async def desk(folder: Path) -> AsyncIterator[Runtime]:
    async with Runtime(cwd=folder) as runtime:
        yield runtime


@pytest.mark.parametrize("language", LANGUAGES)
async def test_scripts_do_not_find_what_others_left(desk: Runtime, language: str) -> None:
    plants, looks = LEAK[language]
    async with asyncio.timeout(20):
        first = await desk.scripts.console(language)
        await first.run(plants + MAKES[language], mode="cell")
        assert (await desk.run_script(looks, engine=language)).value == [False, False, False]
        assert "mine" in desk.tools.names()
        await desk.scripts.close_session(first)
    assert "mine" not in desk.tools.names()


REGISTERS = {
    "lua": "Hook.register('ToolError', function() end)",
    "javascript": "Hook.register('ToolError', () => {})",
}


@pytest.mark.parametrize("language", LANGUAGES)
async def test_two_scripts_may_hook_the_same_point(desk: Runtime, language: str) -> None:
    first, second = await desk.scripts.console(language), await desk.scripts.console(language)
    for session in (first, second):
        await session.run(REGISTERS[language], mode="cell")
    assert len(desk.hooks.registered("ToolError")) == 2
    await desk.scripts.close_session(first)
    assert len(desk.hooks.registered("ToolError")) == 1


@pytest.mark.parametrize("language", LANGUAGES)
async def test_a_tool_of_an_ended_script_cannot_be_called(desk: Runtime, language: str) -> None:
    await desk.run_script(MAKES[language], engine=language)
    call = {"lua": "Tool.execute('mine', {})", "javascript": "await Tool.execute('mine', {})"}
    with pytest.raises(ScriptError, match="not found"):
        await desk.run_script(call[language], engine=language)


WAITS = {
    "lua": "for i = 1, 20 do Tool.execute('calculator', {expression = '1+1'}) end return 'alive'",
    "javascript": "for (let i = 0; i < 20; i++) { await Tool.execute('calculator', {expression: '1+1'}); await sleep(10) } return 'alive'",
}


@pytest.mark.skipif(os.name != "posix", reason="signals are POSIX")
@pytest.mark.parametrize("language", LANGUAGES)
async def test_a_crash_is_one_clean_error_and_others_live_on(desk: Runtime, language: str) -> None:
    async def crash() -> None:
        session = await desk.scripts.console(language, interactive=False)
        session._sink = lambda *_: os.kill(session.scope.process_id, signal.SIGSEGV)
        await session.run("print('now'); " + ENDLESS[language], name="victim")

    victim, other = asyncio.create_task(crash()), asyncio.create_task(desk.run_script(WAITS[language], engine=language))
    with pytest.raises(ScriptError) as caught:
        await victim
    assert (await other).value == "alive"
    assert caught.value.phase == "crash"
    assert "SIGSEGV" in caught.value.message
    assert "victim" in caught.value.message
    assert (await desk.run_script("return 1", engine=language)).value == 1
