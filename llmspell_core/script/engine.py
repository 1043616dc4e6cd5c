"""What an engine plugin registers in the group `llmspell.engines`.

class Lua(ScriptEngine):
    name = "lua"
    language = "lua"
    extensions = (".lua",)
    vm = "llmspell_engine_lua.vm:LuaVM"      # imported in the worker only
    library = "lupa"                         # its folder goes on the worker's path
"""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from llmspell_core.errors import MissingDependencyError

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["ScriptEngine"]


class ScriptEngine:
    """One scripting language. Cheap to import: the VM library is loaded in the worker, never here.

    Args:
        settings: the table `engines.<name>` of the configuration.
    """

    name: ClassVar[str]
    language: ClassVar[str]
    description: ClassVar[str] = ""
    extensions: ClassVar[tuple[str, ...]] = ()
    aliases: ClassVar[tuple[str, ...]] = ()
    vm: ClassVar[str]
    library: ClassVar[str]
    package: ClassVar[str] = ""
    """What to install when `library` is missing."""
    max_source_bytes: ClassVar[int] = 10_000_000
    default_timeout: ClassVar[float] = 300.0

    def __init__(self, settings: Mapping[str, Any] | None = None) -> None:
        self.settings: dict[str, Any] = dict(settings or {})

    def options(self) -> dict[str, Any]:
        """What the VM finds as `boot["options"]`."""
        return self.settings

    def fence_options(self) -> dict[str, Any]:
        """What this engine needs the second fence to allow, e.g. {"jit": True}; see `fence.apply`."""
        return {}

    def import_paths(self) -> list[str]:
        """Folders the worker needs on its path: the core's, this plugin's, the VM library's.

        Raises:
            MissingDependencyError: the VM library is not installed.
        """
        spec = importlib.util.find_spec(self.library)
        if spec is None or spec.origin is None:
            package = self.package or self.library
            raise MissingDependencyError(
                f"the {self.name} engine needs the package '{package}', which is not installed",
                plugin=f"engine:{self.name}",
                package=package,
                hint=f"pip install {package}",
            )
        library = Path(spec.origin)
        parent = library.parent.parent if library.stem == "__init__" else library.parent
        own = Path(str(sys.modules[type(self).__module__.partition(".")[0]].__file__)).parent.parent
        core = Path(__file__).parent.parent.parent
        return list(dict.fromkeys((str(core), str(own), str(parent))))
