"""The provider contract with a real model, on each of the two libraries that can run it."""

from __future__ import annotations

from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import ClassVar

import pytest
from llmspell_provider_llamacpp.provider import LlamaCppProvider

from llmspell_core.provider import Provider
from llmspell_core.testing.provider import ProviderAnswers

pytestmark = pytest.mark.model


class LocalContract(ProviderAnswers):
    """What can go wrong is in test_failures.py: no fake server stands in for a child process."""

    model = "smollm2"
    deterministic = False  # the servers' prompt caches change the last digits of a probability
    backend: ClassVar[str]

    @pytest.fixture(autouse=True)
    def parts(self, models: Path, make: Callable[..., LlamaCppProvider]) -> None:
        self.make = make

    def make_provider(self) -> Provider:
        return self.make(backend=self.backend)


@pytest.mark.skipif(find_spec("xllamacpp") is None, reason="xllamacpp is not installed")
class TestWithXllamacpp(LocalContract):
    backend = "xllamacpp"


@pytest.mark.skipif(find_spec("llama_cpp") is None, reason="llama-cpp-python is not installed")
class TestWithLlamaCppPython(LocalContract):
    backend = "llama-cpp-python"
