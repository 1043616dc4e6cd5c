"""Which llama.cpp server is installed, and with how many threads it should run."""

from __future__ import annotations

import os
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec

from llmspell_core.errors import ConfigurationError, MissingDependencyError

__all__ = ["BACKENDS", "backend_version", "choose_backend", "default_threads"]

# what must be importable, in order of preference
BACKENDS = {
    "llama-cpp-python": ("llama_cpp", "uvicorn", "fastapi", "sse_starlette", "starlette_context"),
    "xllamacpp": ("xllamacpp",),
}
INSTALL = (
    "Install one: pip install 'llmspell-provider-llamacpp[xllamacpp]' (prebuilt), "
    "or pip install 'llmspell-provider-llamacpp[build]' (llama-cpp-python, compiles for some minutes)."
)
MOST_THREADS = 8


def choose_backend(wanted: str = "auto") -> str:
    """Raises: ConfigurationError for an unknown word, MissingDependencyError when nothing fitting is installed."""
    if wanted not in {"auto", *BACKENDS}:
        raise ConfigurationError(
            f"'{wanted}' is not a llama.cpp backend",
            setting="providers.local.backend",
            hint=f"Use auto, {' or '.join(BACKENDS)}.",
        )
    for name in BACKENDS if wanted == "auto" else (wanted,):
        if all(find_spec(module) is not None for module in BACKENDS[name]):
            return name
    what = "no llama.cpp library is installed" if wanted == "auto" else f"{wanted} is not installed"
    raise MissingDependencyError(
        f"{what}, so local models cannot run",
        plugin="local",
        distribution="llmspell-provider-llamacpp",
        package="xllamacpp" if wanted == "auto" else wanted,
        hint=INSTALL,
    )


def backend_version(backend: str) -> str:
    try:
        return f"{backend} {version(backend)}"
    except PackageNotFoundError:
        return backend


def default_threads() -> int:
    """Half the processors: llama.cpp's threads wait for each other, and collapse when one of them must share its own."""
    usable = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return max(1, min(MOST_THREADS, usable // 2))
