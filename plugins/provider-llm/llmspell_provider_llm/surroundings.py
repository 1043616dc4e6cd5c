"""What the child process sees of the machine: variables and folders, without the keys of others."""

from __future__ import annotations

import os
import shutil
import site
from collections.abc import Mapping
from pathlib import Path
from tempfile import TemporaryDirectory
from urllib.parse import urlsplit

from llmspell_core.provider import ProviderSettings

__all__ = ["Surroundings"]

# What the interpreter, native code and `llm` itself need. A plugin's own key is handed over with the question.
KEPT = (
    "PATH", "HOME", "LANG", "LANGUAGE", "TMPDIR", "TEMP", "TMP", "TZ", "SYSTEMROOT", "SYSTEMDRIVE", "USERPROFILE", "APPDATA",
    "LOCALAPPDATA", "VIRTUAL_ENV", "SSL_CERT_FILE", "SSL_CERT_DIR", "REQUESTS_CA_BUNDLE", "LLM_USER_PATH",
    "LLM_LOAD_PLUGINS", "COVERAGE_PROCESS_START",
)  # fmt: skip
KEPT_PREFIXES = ("LC_", "LD_", "DYLD_", "PYTHON", "XDG_", "CUDA", "HIP", "ROCR", "GGML", "OMP_", "VK_", "METAL")
PROXIES = ("http_proxy", "https_proxy", "all_proxy")


class Surroundings:
    """Of one child process."""

    def __init__(self, settings: ProviderSettings) -> None:
        self._settings = settings
        self._folder: TemporaryDirectory[str] | None = None

    def environment(self) -> dict[str, str]:
        """`llm` makes its folder in the user's home at the first look; without one it gets a passing one."""
        names = {str(name) for name in self._settings.options.get("env_vars") or ()}
        kept = {k: v for k, v in os.environ.items() if k.upper() in KEPT or k.upper().startswith(KEPT_PREFIXES)}
        kept |= {"NETRC": os.devnull}
        if self._settings.from_caller:
            return kept | self._stranger(kept)
        kept |= {k: v for k, v in os.environ.items() if k in names} | self._proxies()
        given = self._settings.options.get("user_dir") or os.environ.get("LLM_USER_PATH")
        if given is None and not _own_folder().is_dir():
            given = self._made("llm")
        return kept | ({"LLM_USER_PATH": str(given)} if given else {})

    def _stranger(self, kept: Mapping[str, str]) -> dict[str, str]:
        """A script chose the server: it shall not be sent what is stored for another one, in whatever file."""
        home, user_dir = self._made("home"), self._made("llm")
        own = self._settings.options.get("user_dir") or kept.get("LLM_USER_PATH") or _own_folder()
        aliases = Path(own) / "aliases.json"
        if aliases.is_file():
            shutil.copyfile(aliases, Path(user_dir) / "aliases.json")
        homes = dict.fromkeys(("HOME", "USERPROFILE", "APPDATA", "LOCALAPPDATA", "XDG_CONFIG_HOME"), home)
        return homes | {"LLM_USER_PATH": user_dir, "PYTHONUSERBASE": site.getuserbase()}

    def _proxies(self) -> dict[str, str]:
        if self._settings.proxy == "environment":
            return {k: v for k, v in os.environ.items() if k.lower() in {*PROXIES, "no_proxy"}}
        return dict.fromkeys(PROXIES, self._settings.proxy) if self._settings.proxy else {}

    def proxies(self) -> set[str]:
        """`host:port` of those that the child uses."""
        places = (urlsplit(url) for name, url in self._proxies().items() if name.lower() != "no_proxy")
        return {f"{place.hostname}:{place.port or 80}" for place in places}

    def _made(self, name: str) -> str:
        if self._folder is None:
            self._folder = TemporaryDirectory(prefix="llmspell-llm-")
        place = Path(self._folder.name) / name
        place.mkdir(exist_ok=True)
        return str(place)

    def remove(self) -> None:
        if self._folder is not None:
            self._folder.cleanup()
            self._folder = None


def _own_folder() -> Path:
    """Where `llm` keeps its keys and aliases."""
    import click

    return Path(click.get_app_dir("io.datasette.llm"))
