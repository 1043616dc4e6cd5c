"""Run each plugin's tests in a fresh environment that holds only the core and that plugin.

    python scripts/alone.py            all
    python scripts/alone.py tool-pdf   one

It proves that a plugin declares what it needs. Script engines are not needed by most plugins, so their tests skip what
runs scripts when no engine is there.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).parent.parent
UV = Path(sys.executable).parent / "uv"
NEEDED = ("pytest>=8", "pytest-asyncio>=0.24", "pytest-timeout>=2.3", "hypothesis>=6.100", "pytest-httpserver>=1.1")


def check(plugin: Path) -> bool:
    """Whether the plugin's tests pass alone."""
    started = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="alone-") as folder:
        python = Path(folder) / "bin" / "python"
        run(UV, "venv", "--quiet", "--python", sys.executable, folder)
        # Relative: a plugin's extras that its own tests need are part of the plugin.
        extras = "[test]" if "test = [" in (plugin / "pyproject.toml").read_text(encoding="utf-8") else ""
        run(UV, "pip", "install", "--quiet", "--python", python, "-e", str(ROOT), "-e", f"{plugin}{extras}", *NEEDED)
        done = subprocess.run(
            [
                python,
                "-m",
                "pytest",
                "-q",
                "--rootdir",
                ROOT,
                "-c",
                ROOT / "pyproject.toml",
                "-p",
                "no:randomly",
                plugin,
            ],
            cwd=ROOT,
            check=False,
            capture_output=True,
            text=True,
        )
    good = done.returncode == 0
    last = done.stdout.strip().splitlines()[-1] if done.stdout.strip() else done.stderr.strip()[-200:]
    print(f"{'ok  ' if good else 'FAIL'} {plugin.name:24} {time.monotonic() - started:5.1f} s  {last}", flush=True)
    if not good:
        print(done.stdout[-6000:], done.stderr[-2000:])
    return good


def run(*command: object) -> None:
    subprocess.run([str(part) for part in command], check=True, cwd=ROOT)


def main() -> int:
    wanted = set(sys.argv[1:])
    folders = sorted(
        p.parent for p in [*ROOT.glob("plugins/*/pyproject.toml"), *ROOT.glob("templates/*/pyproject.toml")]
    )
    results = [check(folder) for folder in folders if not wanted or folder.name in wanted]
    print(f"{sum(results)} passed, {len(results) - sum(results)} failed")
    return 0 if all(results) and results else 1


if __name__ == "__main__":
    sys.exit(main())
