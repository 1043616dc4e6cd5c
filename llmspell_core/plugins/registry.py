"""Components by kind and name: what is installed (from the catalog) and what was registered while running.

Nothing is imported until it is asked for, and then exactly one plugin is.
"""

from __future__ import annotations

import importlib
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from llmspell_core.errors import LLMSpellError, MissingDependencyError, NotFoundError, PluginError, ValidationError
from llmspell_core.plugins.kinds import kind_of

if TYPE_CHECKING:
    from llmspell_core.plugins.catalog import Catalog, Component

__all__ = ["Registry"]


class Registry:
    """The components of one runtime.

    Args:
        catalog: what is installed. None: nothing, only what is registered here (tests).
    """

    def __init__(self, catalog: Catalog | None = None) -> None:
        self.catalog = catalog
        self._registered: dict[str, dict[str, Any]] = {}
        self._loaded: dict[tuple[str, str], Any] = {}

    def register(self, kind: str, name: str, component: Any, *, replace: bool = False) -> None:
        """Add a component of this process, e.g. a tool that a script made.

        Raises:
            ValidationError: the name is taken.
        """
        if not replace and (name in self._registered.get(kind, {}) or self._find(kind, name) is not None):
            raise ValidationError(
                f"{kind_of(kind).word} '{name}' already exists", field="name", hint="Choose another name."
            )
        self._registered.setdefault(kind, {})[name] = component

    def unregister(self, kind: str, name: str) -> bool:
        return self._registered.get(kind, {}).pop(name, None) is not None

    def names(self, kind: str) -> list[str]:
        """Sorted names that can be asked for; broken plugins are not among them."""
        installed = [c.name for c in self._components(kind) if c.error is None]
        return sorted({*installed, *self._registered.get(kind, {})})

    def has(self, kind: str, name: str) -> bool:
        if self._registered_name(kind, name) is not None:
            return True
        found = self._find(kind, name)
        return found is not None and found.error is None

    def info(self, kind: str, name: str) -> Component | None:
        """The catalog's record of an installed component."""
        return self._find(kind, name)

    def canonical(self, kind: str, name: str) -> str:
        """The name of the component that an alias or another spelling stands for; nothing is imported."""
        found = self._registered_name(kind, name)
        if found is not None:
            return found
        component = self._find(kind, name)
        return component.name if component is not None else name.lower().replace("_", "-")

    def load(self, kind: str, name: str) -> Any:
        """What the entry point names: a class, or an object.

        Raises:
            NotFoundError: no such component; the message offers near names or the package to install.
            PluginError: it cannot be imported.
        """
        registered = self._registered_name(kind, name)
        if registered is not None:
            return self._registered[kind][registered]
        component = self._find(kind, name)
        if component is None:
            raise self.not_found(kind, name)
        return self._import(kind, component)

    def get(self, kind: str, name: str) -> Any:
        """An instance, made without arguments and kept.

        Raises:
            PluginError: it cannot be imported or made.
        """
        made = self.load(kind, name)
        if not isinstance(made, type):
            return made
        key = (kind, made.__module__ + ":" + made.__qualname__)
        if key not in self._loaded:
            try:
                self._loaded[key] = made()
            except BaseException as error:
                from llmspell_core.foreign import is_its_own

                if isinstance(error, LLMSpellError) or not is_its_own(error):
                    raise
                raise self._not_made(kind, name, error) from error
        return self._loaded[key]

    def _not_made(self, kind: str, name: str, error: BaseException) -> PluginError:
        from llmspell_core.foreign import describe

        component = self._find(kind, name)
        origin = f" of {component.distribution}" if component is not None and component.distribution else ""
        return PluginError(
            f"{kind_of(kind).word} '{name}'{origin} cannot be made: {describe(error)}",
            hint="Report it to its author, or uninstall it: llmspell plugin list",
            plugin=name,
        )

    def not_found(self, kind: str, name: str) -> NotFoundError:
        from difflib import get_close_matches

        names = self.names(kind)
        near = get_close_matches(str(name), names, n=3, cutoff=0.6)
        hint = self._install_hint(kind, str(name))
        if hint is None and near:
            hint = f"Did you mean {', '.join(near)}?"
        elif hint is None:
            few = 0 < len(names) <= 6
            hint = f"There is: {', '.join(names)}" if few else f"See: llmspell {kind_of(kind).command} list"
        return NotFoundError(
            f"{kind_of(kind).word} '{name}' not found", hint=hint, what=kind, name=str(name), near=near
        )

    def _install_hint(self, kind: str, name: str) -> str | None:
        from llmspell_core.plugins.catalog import known_distribution

        distribution = known_distribution(kind, name)
        return f"It is not installed: pip install {distribution}" if distribution else None

    def _components(self, kind: str) -> Iterable[Component]:
        return self.catalog.components(kind) if self.catalog is not None else ()

    def _find(self, kind: str, name: str) -> Component | None:
        return self.catalog.find(kind, name) if self.catalog is not None else None

    def _registered_name(self, kind: str, name: str) -> str | None:
        present = self._registered.get(kind, {})
        if name in present:
            return name
        dashed = str(name).lower().replace("_", "-")
        return dashed if dashed in present else None

    def _import(self, kind: str, component: Component) -> Any:
        if component.error is not None and component.value == "":
            raise _broken(kind, component, str(component.error.get("message")), component.error.get("hint"))
        module, _, attribute = component.value.partition(":")
        try:
            loaded: Any = importlib.import_module(module)
            for part in filter(None, attribute.split(".")):
                loaded = getattr(loaded, part)
        except LLMSpellError:
            raise
        except ModuleNotFoundError as error:
            raise _missing(kind, component, error) from error
        except (Exception, SystemExit) as error:
            first = f"{type(error).__name__}: {error}".splitlines()[0]
            raise _broken(kind, component, first, None) from error
        return loaded


def _missing(kind: str, component: Component, error: ModuleNotFoundError) -> PluginError:
    return MissingDependencyError(
        f"{kind_of(kind).word} '{component.name}' ({component.distribution} {component.version}) needs the package "
        f"'{error.name}', which is not installed",
        hint=f"pip install --upgrade {component.distribution}",
        plugin=component.name,
        distribution=component.distribution,
        version=component.version,
        package=error.name,
    )


def _broken(kind: str, component: Component, cause: str, hint: str | None) -> PluginError:
    return PluginError(
        f"{kind_of(kind).word} '{component.name}' of {component.distribution} {component.version} cannot be imported: {cause}",
        hint=hint or f"Update or remove it, or block it with LLMSPELL_PLUGINS_BLOCK={component.distribution}.",
        plugin=component.name,
        distribution=component.distribution,
        version=component.version,
    )
