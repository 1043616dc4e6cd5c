"""What the VM's `import` loads: names are files, as the host finds them for whoever imports."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from llmspell_engine_javascript.sources import MAIN

if TYPE_CHECKING:
    from collections.abc import Callable

    from llmspell_engine_javascript.failure import Failures
    from llmspell_engine_javascript.sources import SourceMap

__all__ = ["Modules"]

_EXPORTED = "export default globalThis.require.main.exports;"
"""A script that is no ES module, for one that imports it."""


class Modules:
    """The ES modules of one VM.

    Args:
        ask: the host's env, as JSON text, for a written name and the file in which it is written (None: the script).

    Attributes:
        main: name and source of the script, if it is a module.
    """

    def __init__(
        self,
        ask: Callable[[str, str | None], str],
        sources: SourceMap,
        failures: Failures,
    ) -> None:
        self._ask, self._sources, self._failures = ask, sources, failures
        self._loaded: dict[str, str] = {}
        self.main = ("", "")

    def name_of(self, importer: str, written: str) -> str:
        """The file that `importer` means. Raises: LookupError, ValueError."""
        if written == MAIN and importer == "<input>":
            return MAIN
        found = self._found(written, self._sources.path_of(importer), importer)
        if not found.get("main"):
            return str(found["name"])
        if self.main[0]:
            return MAIN
        self._loaded[found["name"]] = _EXPORTED
        return str(found["name"])

    def source_of(self, module: str) -> str:
        """The source of a module. Raises: LookupError, ValueError."""
        if module == MAIN:
            name, source = self.main
        elif module in self._loaded:
            name, source = module, self._loaded[module]
        else:  # its name was made by the VM itself, see `load_modules`
            found = self._found(module, None, MAIN)
            name, source = found["name"], found["source"]
        self._sources.name_module(module, name, source)
        return f"export default ({json.dumps(json.loads(source))})" if name.endswith(".json") else source

    def _found(self, written: str, base: str | None, importer: str) -> dict[str, Any]:
        env = json.loads(self._ask(written, base))
        if not env["ok"]:
            error = env["error"]
            self._failures.not_found = written, error["message"], importer
            raise (ValueError if error.get("type") == "ValidationError" else LookupError)(error["message"])
        found: dict[str, Any] = env["value"]
        self._loaded[found["name"]] = found["source"]
        return found
