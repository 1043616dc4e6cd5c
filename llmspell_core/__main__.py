"""`python -m llmspell_core`, the same as `llmspell`."""

from __future__ import annotations

import sys

from llmspell_core.cli import main

sys.exit(main())
