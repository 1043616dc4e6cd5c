"""The models that the plugins of `llm` register. Runs in the child process.

The hook is called plugin by plugin, so that one that is broken takes nobody with it; the OpenAI models that `llm` itself
brings are asked for only when one of them is named, because they take a second to import.
"""

from __future__ import annotations

import copy
import importlib
import json
import os
from importlib.metadata import entry_points, version
from typing import Any

__all__ = ["Models", "missing_key"]


class Models:
    """Names and aliases to models."""

    def __init__(self) -> None:
        self._found: dict[str, tuple[Any, Any]] = {}
        self._aliases: dict[str, str] = {}
        self._failed: dict[str, str] = {}
        self._has_defaults = False

    def load(self) -> None:
        """Import every plugin, or those that LLM_LOAD_PLUGINS names, as `llm` itself does."""
        wanted = os.environ.get("LLM_LOAD_PLUGINS")
        names = None if wanted is None else {name.strip() for name in wanted.split(",")}
        for entry in entry_points(group="llm"):
            if names is None or (entry.dist is not None and entry.dist.name in names):
                self._load(entry.name, entry.load)
        self._read_aliases()

    def _load(self, name: str, load: Any) -> None:
        from llm.plugins import pm

        try:
            module = load()
            if not pm.is_registered(module):
                pm.register(module, name)
            for hook in pm.hook.register_models.get_hookimpls():
                if hook.plugin is module:
                    given = {"register": self._register, "model_aliases": []}
                    hook.function(*(given[argument] for argument in hook.argnames))
        except Exception as error:  # noqa: BLE001 - a plugin that cannot load is reported, the others serve
            self._failed[name] = f"{type(error).__name__}: {error}"

    def _register(self, model: Any, async_model: Any = None, aliases: Any = None) -> None:
        name = (model or async_model).model_id
        self._found[name] = (model, async_model)
        self._aliases |= dict.fromkeys(aliases or (), name)

    def _read_aliases(self) -> None:
        import llm

        user_dir: Any = llm.user_dir
        path = user_dir() / "aliases.json"
        if path.is_file():
            self._aliases |= json.loads(path.read_text("utf-8"))

    def _load_defaults(self) -> None:
        from llm.plugins import DEFAULT_PLUGINS

        self._has_defaults = True
        for name in DEFAULT_PLUGINS:
            self._load(name, lambda name=name: importlib.import_module(name))

    def ready(self) -> dict[str, Any]:
        """What the host is told at the start."""
        models = {name: _abilities(*pair) for name, pair in self._found.items()}
        return {"ready": models, "failed": self._failed, "version": version("llm")}

    def find(self, name: str, base_url: str | None, key: str | None) -> tuple[Any, bool]:
        """The model, and whether it is an async one.

        Args:
            key: the one to use; never a name under which `llm` keeps another one.

        Raises: LookupError, ValueError when it cannot be sent to another address.
        """
        if self._id(name) not in self._found and not self._has_defaults:
            self._load_defaults()
        if self._id(name) not in self._found:
            raise LookupError(f"no installed plugin of llm has a model '{name}'")
        blocking, awaited = self._found[self._id(name)]
        model = awaited or blocking
        model = _elsewhere(model, base_url) if base_url else model
        if key and model.needs_key:
            model = copy.copy(model)
            model.key = key
        return model, awaited is not None

    def _id(self, name: str) -> str:
        return name if name in self._found else self._aliases.get(name, name)


def _elsewhere(model: Any, base_url: str) -> Any:
    if not hasattr(model, "api_base"):
        raise ValueError(f"the model '{model.model_id}' does not support base_url: its plugin knows only one address")
    made = copy.copy(model)
    made.api_base = base_url
    return made


def _abilities(blocking: Any, awaited: Any) -> dict[str, Any]:
    model = awaited or blocking
    return {
        "tools": bool(model.supports_tools),
        "schema": bool(model.supports_schema),
        "usable": model.needs_key is None or _stored_key(model) is not None,
        "key_variable": model.key_env_var if model.needs_key else None,
    }


def missing_key(model: Any) -> str | None:
    """The variable that may hold the model's key, when there is none here."""
    return model.key_env_var if model.needs_key and _stored_key(model) is None else None


def _stored_key(model: Any) -> str | None:
    """What `llm keys set` has stored for it."""
    import llm

    try:
        key: str | None = model.get_key()
    except llm.ModelError:
        return None
    return key
