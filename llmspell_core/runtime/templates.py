"""The templates of a runtime: found and searched."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from llmspell_core.errors import ComponentError

if TYPE_CHECKING:
    from llmspell_core.runtime.desk import Runtime
    from llmspell_core.template import Template

__all__ = ["Templates"]


class Templates:
    """`runtime.templates`; `Runtime.run_template` runs one."""

    def __init__(self, runtime: Runtime) -> None:
        self._runtime = runtime

    def find(self, name: str) -> Template[Any]:
        """The template of that name. Raises: NotFoundError, PluginError."""
        from llmspell_core.template import Template

        template = self._runtime.registry.get("templates", name)
        if not isinstance(template, Template):
            raise ComponentError(f"'{name}' is not a template but {type(template).__name__}")
        return template

    def search(self, query: str = "", category: str | None = None) -> list[dict[str, Any]]:
        """What `Template.about` says of those whose texts contain `query`, in a category or in all."""
        rows = [self.find(name).about() for name in self._runtime.registry.names("templates")]
        if category is not None:
            rows = [row for row in rows if str(row["category"]).lower() == category.lower()]
        word = query.lower()
        return [r for r in rows if word in f"{r['id']} {r['name']} {r['description']} {' '.join(r['tags'])}".lower()]
