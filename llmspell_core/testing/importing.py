"""What importing a module does besides defining things."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

__all__ = ["effects_of_importing"]

IMPORT_WATCHER = """
import io, json, os, sys, threading
module, sys.path[:] = sys.argv[1], json.loads(sys.argv[2])
sys.dont_write_bytecode = True
import asyncio, llmspell_core.runtime, llmspell_core.tool

ACTS = {"socket.connect", "socket.bind", "socket.getaddrinfo", "subprocess.Popen", "os.system", "os.fork", "os.mkdir"}
ACTS |= {"os.remove", "os.rename", "os.putenv", "os.unsetenv", "os.chdir"}
done, watching = [], True

def watch(event, arguments):
    if watching and event in ACTS:
        done.append(event)
    if watching and event == "open" and isinstance(arguments[1], str) and set(arguments[1]) & set("wax+"):
        done.append(f"write {arguments[0]}")

threads = set(threading.enumerate())
sys.addaudithook(watch)
out, sys.stdout = sys.stdout, io.StringIO()
__import__(module)
watching, printed, sys.stdout = False, sys.stdout.getvalue(), out
done += [f"print {printed[:60]!r}"] if printed else []
done += [f"start thread {t.name}" for t in set(threading.enumerate()) - threads]
print(json.dumps(done))
"""


def effects_of_importing(module: str) -> list[str]:
    """What the import of `module` in a fresh process prints, writes, starts, connects or changes, in words."""
    command = [sys.executable, "-I", "-c", IMPORT_WATCHER, module, json.dumps([*sys.path, str(Path.cwd())])]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert ended.returncode == 0, f"importing {module} fails:\n{ended.stderr}"
    effects: list[str] = json.loads(ended.stdout.splitlines()[-1])
    return effects
