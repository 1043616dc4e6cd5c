"""The kinds of component: one row each, which everything that treats kinds alike reads. Imports nothing."""

from __future__ import annotations

from typing import NamedTuple

__all__ = ["GROUPS", "KINDS", "Kind", "kind_of"]


class Kind(NamedTuple):
    """One kind of component.

    Attributes:
        group: the entry-point group is `llmspell.<group>`.
        word: what one of them is called in messages.
        contract: `module:class` that it fulfils, as an instance or a subclass; empty for what is checked elsewhere.
        command: of the command line, where people look for what there is.
        keeps: attributes of the class that the catalog keeps.
        has_category, has_parameters, has_settings: whether its class has one, a model of them, or of its table in the configuration.
        kit: the class of `llmspell_core.testing` that a plugin's tests derive from; empty where there is none.
        page: in docs/plugin-authors; empty where nobody reads the group yet.
        new: what `llmspell plugin new` calls it; empty where there is nothing to generate.
    """

    group: str
    word: str
    contract: str = ""
    command: str = "plugin"
    keeps: tuple[str, ...] = ()
    has_category: bool = False
    has_parameters: bool = False
    has_settings: bool = False
    kit: str = ""
    page: str = ""
    new: str = ""


KINDS = (
    Kind(
        "tools", "Tool", "llmspell_core.tool:Tool", "tool", ("requires_extra",),
        has_category=True, has_parameters=True, has_settings=True, kit="ToolContract", page="tool.md", new="tool",
    ),
    Kind(
        "providers", "Provider", "llmspell_core.provider:Provider", "provider", ("requires_key", "key_variable"),
        kit="ProviderContract", page="provider.md", new="provider",
    ),
    Kind("embedders", "Embedder"),
    Kind(
        "engines", "Script engine", "llmspell_core.script.engine:ScriptEngine", keeps=("language", "extensions", "library"),
        kit="EngineContract", page="engine.md",
    ),
    Kind("globals", "Script global", "llmspell_core.script.declare:Global", page="global.md", new="global"),
    Kind("templates", "Template", command="template", has_category=True, has_parameters=True, page="template.md"),
    Kind(
        "workflows", "Workflow type", "llmspell_core.workflow.workflow:WorkflowType",
        kit="WorkflowContract", page="workflow.md", new="workflow",
    ),
    Kind("state_stores", "State store"),
    Kind("vector_stores", "Vector store"),
    Kind("servers", "Server"),
    Kind(
        "executors", "Executor", "llmspell_core.executor:Executor",
        kit="ExecutorContract", page="executor.md", new="executor",
    ),
    Kind("hooks", "Hook plugin", page="hooks.md", new="hook"),
    Kind("observers", "Observer", has_settings=True, page="observer.md"),
    Kind("commands", "Command", page="command.md"),
)  # fmt: skip

GROUPS = tuple(kind.group for kind in KINDS)
_BY_GROUP = {kind.group: kind for kind in KINDS}


def kind_of(group: str) -> Kind:
    """The row of a group; of one that nobody knows, a row that says nothing but its name."""
    return _BY_GROUP.get(group) or Kind(group, group.rstrip("s").capitalize())
