"""What a run reads to configure itself or to import: no script may write there, or it would choose what the next run does.

Derived from what reads: the interpreter (`sys`, `sysconfig`, `site`), the search path of programs, and names that Python,
shells, editors and version control execute wherever they find them. What llmspell itself reads comes with the settings
(`read_only_paths`). All of it holds under every profile.
"""

from __future__ import annotations

import os
import re
import site
import stat
import sys
import unicodedata
from collections.abc import Iterable, Iterator
from fnmatch import translate
from functools import cache
from itertools import islice
from pathlib import Path

from llmspell_core.policy.settings import CONFIGURATION_NAMES

__all__ = ["ReadOnly", "ancestors", "folded"]

EXECUTED = (
    ".bzr", ".claude", ".cursor", ".devcontainer", ".direnv", ".git", ".hg", ".husky", ".idea", ".svn", ".venv", ".vscode", ".zed",
    "__pycache__", "conda-meta", "dist-packages", "llmspell_plugins", "site-packages", "venv", "*.dist-info", "*.egg-info",
)  # fmt: skip
"""Folders in which files are run, or say what is run, whoever opens the folder next."""
BELIEVED = (
    ".envrc",
    ".git",
    ".mcp.json",
    "pyvenv.cfg",
    "sitecustomize.py*",
    "usercustomize.py*",
    "*.pth",
    "*.egg-link",
)
"""Files of the same kind."""
RUN_NAMES = (*EXECUTED, *BELIEVED)
IMPORTABLE = (".py", ".pyc", ".pyd", ".so")
ARCHIVES = (".egg", ".whl", ".zip")
OF_ENVIRONMENTS = frozenset({"bin", "sbin", "scripts", "lib", "lib32", "lib64", "libexec", "dlls", "library", "include",
                             "share", "etc", "conda-meta", "pyvenv.cfg", "python", "python3", "python.exe"})  # fmt: skip
"""What of an environment is its own, where somebody works in its folder."""
VARIABLES = ("BASH_ENV", "ENV", "GIT_CONFIG_GLOBAL", "PYTHONSTARTUP", "SSL_CERT_DIR", "SSL_CERT_FILE", "ZDOTDIR")
"""Those that name what is run or believed."""
OF_HOME = {"darwin": "library", "win32": "appdata"}
SEP = os.sep
MOST_MOVED = 10_000
MOST_LINKS = 40
# Some file systems do not see these characters, so that a name with them is the name without them.
UNSEEN = dict.fromkeys([*range(0x200C, 0x2010), *range(0x202A, 0x202F), *range(0x206A, 0x2070), 0xFEFF])


@cache
def _pattern(names: tuple[str, ...]) -> re.Pattern[str]:
    """Compiled when something is written, which most runs do not do."""
    return re.compile("|".join(map(translate, names)))


def folded(path: str | Path) -> str:
    """One text for all spellings that may be the same file somewhere: for rules that forbid."""
    text = str(path)
    return text.lower() if text.isascii() else SEP.join(map(_folded_part, text.split(SEP)))


def _folded_part(part: str) -> str:
    plain = unicodedata.normalize("NFC", unicodedata.normalize("NFD", part).casefold())
    return plain.translate(UNSEEN) or plain


def ancestors(text: str) -> Iterator[str]:
    """The path itself and every folder above it, as texts."""
    while True:
        yield text
        above = os.path.dirname(text)  # noqa: PTH120 - texts, not paths
        if above == text:
            return
        text = above


class ReadOnly:
    """The read-only set of one policy.

    Args:
        places: absolute paths of files and folders that llmspell itself reads, by the text that messages show.
        base: the working folder.
        named: folders that the operator allowed in so many words. Work in these, and in `base`, goes on although they lie in an
            environment, on the search path of programs, or in a hidden folder of home.
    """

    def __init__(self, places: Iterable[tuple[str, Path]], base: Path, named: Iterable[Path]) -> None:
        self._named = [folded(place) for place in (base, *named)]
        self._places: dict[str, str] = {}
        for text, place in places:
            self._add(place, f"'{text}' holds llmspell's own settings")
        for text in _named_by_variables():
            self._add(Path(text), f"the environment says that '{text}' is read")
        imported = {Path(base, text) for text in (*sys.path, site.getusersitepackages())}
        for path in (*_editable_packages(), *(p for p in imported if p.suffix.lower() in ARCHIVES or p.is_file())):
            self._add(path, f"Python imports from '{path}'")
        self._environments = {folded(way): folder for folder in _environments() for way in _ways(folder)}
        self._programs = {folded(way): folder for folder in _program_folders() for way in _ways(folder)}
        self._imported = {folded(way): folder for folder in imported for way in _ways(folder)}
        self._home = folded(os.path.realpath(os.path.expanduser("~")))  # noqa: PTH111 - a text, also when there is no home

    def _add(self, place: Path, reason: str) -> None:
        for way in _ways(place):
            self._places.setdefault(folded(way), reason)

    def reason(self, real: Path) -> str | None:
        """Why nobody may write, make, move or delete `real`; None when they may."""
        text = folded(real)
        return (
            self._named_like(text)
            or self._covered(text)
            or self._environment(text, real)
            or self._program(text, real)
            or self._import(text, real)
            or self._of_home(text)
        )

    def tree_reason(self, real: Path) -> str | None:
        """Why the folder `real` may not be moved, or become the place of another one: what is, or would be, below it."""
        text = folded(real)
        below = text.rstrip(SEP) + SEP
        for place, reason in self._places.items():
            if place.startswith(below):
                return reason
        for place in (*self._environments, *self._programs, *self._imported):
            if place == text or place.startswith(below):
                return f"programs or modules are loaded from '{place}'"
        if os.path.dirname(text) in self._imported:  # noqa: PTH120 - texts, not paths
            return f"Python imports from '{real.parent}'"
        return self._below(real)

    def _below(self, folder: Path) -> str | None:
        entries = list(islice(_walk(folder), MOST_MOVED + 1))
        if len(entries) > MOST_MOVED:
            return f"it holds more than {MOST_MOVED:,} entries, too many to look through"
        for entry in entries:
            if reason := _by_name(folded(entry.name)):
                return f"'{entry.path}' is below it, and {reason}"
        return None

    def _named_like(self, text: str) -> str | None:
        """A folder that is allowed in so many words may lie below such a name; what is in it may not have one."""
        inside = max((place for place in self._named if _is_below(text, place)), key=len, default="")
        return next(filter(None, map(_by_name, _parts(text, inside))), None)

    def _covered(self, text: str) -> str | None:
        return next((self._places[place] for place in ancestors(text) if place in self._places), None)

    def _environment(self, text: str, real: Path) -> str | None:
        for place, folder in zip(ancestors(text), (real, *real.parents), strict=False):
            known = place in self._environments or (place != text and _is_environment(folder))
            if known and (not self._works_in(place, text) or _parts(text, place)[0] in OF_ENVIRONMENTS):
                return f"'{folder}' is an environment that programs and modules are loaded from"
        return None

    def _program(self, text: str, real: Path) -> str | None:
        for place in ancestors(os.path.dirname(text)):  # noqa: PTH120 - texts, not paths
            if place in self._programs and (not self._works_in(place, text) or _is_executable(real)):
                return f"programs are started from '{self._programs[place]}'"
        return None

    def _import(self, text: str, real: Path) -> str | None:
        """Of a folder on `sys.path`: modules and packages. Other files may lie there, too: it may be the working folder."""
        for place in ancestors(os.path.dirname(text)):  # noqa: PTH120 - texts, not paths
            folder = self._imported.get(place)
            if folder is not None and self._is_importable(folder, real, _parts(text, place)):
                return f"Python imports from '{folder}'"
        return None

    def _is_importable(self, folder: Path, real: Path, parts: list[str]) -> bool:
        module = parts[-1].endswith(IMPORTABLE)
        if len(parts) == 1:
            return module
        top = real.parents[len(parts) - 2]
        if (top / "__init__.py").exists() or (top / "__init__.pyc").exists():
            return True
        if module and len(parts) == 2 and parts[-1].startswith("__init__."):
            return True
        # A namespace package has a part in every folder; and the first folder that offers a name wins.
        return module and any((other / top.name).is_dir() for other in self._imported.values() if other != folder)

    def _of_home(self, text: str) -> str | None:
        """Hidden files and folders of home are what shells, tools and the desktop read; a place in them can be named."""
        if not _is_below(text, self._home):
            return None
        first = _parts(text, self._home)[0]
        if not first.startswith(".") and first != OF_HOME.get(sys.platform):
            return None
        if self._works_in(os.path.join(self._home, first), text):  # noqa: PTH118 - texts, not paths
            return None
        return f"'~/{first}' is read by shells and other programs"

    def _works_in(self, place: str, text: str) -> bool:
        """Whether `text` is in a folder that was named and lies at or in `place`."""
        return any(
            _is_below(named, place, itself=True) and _is_below(text, named, itself=True) for named in self._named
        )


def _is_below(text: str, place: str, *, itself: bool = False) -> bool:
    return text.startswith(place.rstrip(SEP) + SEP) or (itself and text == place)


def _parts(text: str, place: str) -> list[str]:
    """What of `text` is below `place`, name by name."""
    return text[len(place) :].lstrip(SEP).split(SEP)


def _by_name(name: str) -> str | None:
    name = name.partition(":")[0].rstrip(". ") if sys.platform == "win32" else name
    if _pattern(CONFIGURATION_NAMES).match(name):
        return "a file of that name holds llmspell's own settings"
    return f"what is named '{name}' is run, or says what is run" if _pattern(RUN_NAMES).match(name) else None


def _is_environment(folder: Path) -> bool:
    return (folder / "pyvenv.cfg").exists() or (folder / "conda-meta").is_dir()


def _is_executable(real: Path) -> bool:
    try:
        mode = os.lstat(real).st_mode
    except OSError:
        return False
    return not stat.S_ISDIR(mode) and bool(mode & 0o111)


def _entries(folder: Path) -> list[os.DirEntry[str]]:
    try:
        with os.scandir(folder) as found:
            return list(found)
    except OSError:
        return []


def _walk(folder: Path) -> Iterator[os.DirEntry[str]]:
    waiting = [folder]
    while waiting:
        for entry in _entries(waiting.pop()):
            yield entry
            if entry.is_dir(follow_symlinks=False):
                waiting.append(Path(entry.path))


def _ways(path: Path, most: int = MOST_LINKS) -> list[Path]:
    """Where `path` really is, and every link on the way there: who could exchange a link could exchange the place."""
    absolute = Path(os.path.abspath(path))  # noqa: PTH100 - links stay
    found = [Path(os.path.realpath(absolute))]
    for part in (absolute, *absolute.parents):
        if most and part.is_symlink():
            found.append(Path(os.path.realpath(part.parent)) / part.name)
            found += _ways(part.parent / os.readlink(part), most // 2)  # noqa: PTH115 - text
    return found


def _environments() -> set[Path]:
    """The folders that Python is installed in, and the active environments."""
    texts = {sys.prefix, sys.exec_prefix, sys.base_prefix, sys.base_exec_prefix, sys.pycache_prefix}
    texts |= {os.environ.get("VIRTUAL_ENV"), os.environ.get("CONDA_PREFIX")}
    return {Path(text) for text in texts if text and Path(text) != Path(text).parent}


def _program_folders() -> set[Path]:
    """Where programs are looked for; see `Process`. And where this interpreter lies."""
    texts = [*os.environ.get("PATH", os.defpath).split(os.pathsep), os.path.dirname(sys.executable or "")]  # noqa: PTH120
    return {Path(text) for text in texts if Path(text).is_absolute()}


def _named_by_variables() -> list[str]:
    texts = [text for name in VARIABLES for text in os.environ.get(name, "").split(os.pathsep)]
    # ENV is the name of a stage more often than a file.
    return [text for text in map(os.path.expanduser, texts) if Path(text).is_absolute()]


def _editable_packages() -> Iterator[Path]:
    """Packages that an editable install finds without an entry of `sys.path`."""
    for name, module in list(sys.modules.items()):
        if name.startswith("__editable___"):
            yield from map(Path, getattr(module, "MAPPING", {}).values())
