"""Run mypy --strict over every distribution of the workspace, in one process.

Tests are checked too, but one folder at a time: test files of different plugins have the same names.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parent.parent


def main() -> int:
    packages = sorted(str(p.parent) for p in [*ROOT.glob("plugins/*/*/py.typed"), *ROOT.glob("templates/*/*/py.typed")])
    command = [sys.executable, "-m", "mypy", "llmspell_core", *packages]
    return subprocess.run(command, cwd=ROOT, check=False).returncode


if __name__ == "__main__":
    sys.exit(main())
