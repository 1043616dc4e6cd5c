"""What several test folders share."""

from __future__ import annotations

from pathlib import Path

import pytest

from llmspell_core.testing.local_model import model_file


@pytest.fixture(scope="session")
def smollm2() -> Path:
    """The model file. Missing: a failure in CI, a skip elsewhere."""
    return model_file()
