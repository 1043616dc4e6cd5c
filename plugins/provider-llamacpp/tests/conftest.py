"""A folder of models as `pull` leaves it, and a provider that uses it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any

import pytest
from llmspell_provider_llamacpp.provider import LlamaCppProvider

from llmspell_core.errors import NotFoundError
from llmspell_core.provider import Provider, ProviderSettings
from llmspell_core.testing.local_model import model_file


def partner(settings: ProviderSettings) -> Provider:
    """What the runtime does: find the plugin that serves the type."""
    found = [point for point in entry_points(group="llmspell.providers") if point.name == settings.provider_type]
    if not found:
        raise NotFoundError(f"provider '{settings.provider_type}' not found", what="providers")
    made: Provider = found[0].load()(settings)
    return made


@pytest.fixture
def models(tmp_path: Path) -> Path:
    """A model directory that holds smollm2, for tests that let it answer."""
    if not entry_points(group="llmspell.providers", name="openai"):
        pytest.skip("llmspell-provider-openai, which talks to the model's server, is not installed")
    folder = tmp_path / "models"
    (folder / "smollm2").mkdir(parents=True)
    (folder / "smollm2" / "smollm2.gguf").symlink_to(model_file())
    return folder


@pytest.fixture
async def make(tmp_path: Path) -> AsyncIterator[Callable[..., LlamaCppProvider]]:
    """Makes providers with given options, and closes them in the end."""
    made: list[LlamaCppProvider] = []

    def build(make_provider: Any = partner, **options: Any) -> LlamaCppProvider:
        settings = ProviderSettings(
            "local", "local", options={"model_directory": tmp_path / "models", "n_threads": 1} | options
        )
        made.append(LlamaCppProvider(settings, make_provider=make_provider))
        return made[-1]

    yield build
    for provider in made:
        await provider.close()
