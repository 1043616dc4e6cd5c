"""What the languages have elsewhere and scripts here do not, with what to use instead (see docs/reference/languages.md)."""

from __future__ import annotations

import re

__all__ = ["instead_of"]

_LOW = "the profile low has it, within the policy"
_INSTEAD = {
    "io.popen": f"io.popen starts programs: {_LOW} (tools.system.allowed_commands).",
    "os.execute": f"os.execute starts programs: {_LOW} (tools.system.allowed_commands).",
    "os.remove": f"os.remove: {_LOW}; or Tool.execute('file-operations', {{operation = 'delete', path = ...}}).",
    "os.rename": f"os.rename: {_LOW}; or Tool.execute('file-operations', {{operation = 'move', ...}}).",
    "os.tmpname": "Use a file in a folder that the policy allows.",
    "io.tmpfile": "Use a file in a folder that the policy allows.",
    "io.open": "The profile high has no files.",
    "os.getenv": "The profile high has no environment.",
    "string.dump": "Precompiled code is left out; load takes text.",
    "package.loadlib": "C modules are left out; require finds Lua modules beside the script.",
    "package.searchers": "Use package.preload, or modules beside the script.",
    "setfenv": "Lua 5.4 has load(text, name, 't', environment).",
    "Buffer": "Use Uint8Array, TextEncoder and TextDecoder; atob and btoa for base64.",
    "Intl": "Intl is left out; use toFixed for numbers, Tool.execute('datetime-handler', ...) for dates.",
    "WebSocket": "Use fetch(url).",
    "XMLHttpRequest": "Use fetch(url).",
    "EventSource": "Use fetch(url).",
    "Worker": "Use Promise.all of calls: a hundred of them run together.",
    "WebAssembly": "Compiled code is left out.",
    "crypto.subtle": "Use Tool.execute('hash-calculator', {operation: 'hash', input: text}).",
    "process.cwd": "Paths start at the working folder; name files from there.",
    "Deno": "Scripts have Tool.execute(...) for what reaches outside.",
    "Bun": "Scripts have Tool.execute(...) for what reaches outside.",
}
_DEBUG = re.compile(r"(?<![\w.])debug\.(?!traceback\b|getinfo\b)\w+")
_NAMES = re.compile(r"(?<![\w.])(?:" + "|".join(re.escape(name) for name in _INSTEAD) + r")\b")
_MISSING = (
    "attempt to call a nil value",
    "attempt to index a nil value",
    "not a function",
    "is not defined",
    "of undefined",
)


def instead_of(message: str, line: str) -> str | None:
    """What to use instead of something in `line` that is left out on purpose, if that is what failed."""
    if not any(words in message for words in _MISSING):
        return None
    found = next((m[0] for m in _NAMES.finditer(line) if _fits(m[0], message)), None)
    if found is not None:
        return _INSTEAD[found]
    return "Of debug, scripts have traceback and getinfo." if _DEBUG.search(line) and "attempt to" in message else None


def _fits(name: str, message: str) -> bool:
    """The engines mostly quote the last part of the name; a message that quotes another one is about that."""
    quoted = re.findall(r"'(\w+)'|\b(\w+) is not defined", message)
    words = [word for pair in quoted for word in pair if word]
    return not words or name.rpartition(".")[2] in words or "of undefined" in message
