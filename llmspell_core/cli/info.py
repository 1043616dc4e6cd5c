"""`llmspell info`: what is installed here, and what this machine gives."""

from __future__ import annotations

import platform
from importlib import metadata
from typing import TYPE_CHECKING, Any

import click

from llmspell_core.cli.shell import Shell
from llmspell_core.cli.tables import facts
from llmspell_core.errors import LLMSpellError

if TYPE_CHECKING:
    from llmspell_core.config import Config
    from llmspell_core.plugins.catalog import Catalog

__all__ = ["info"]

FENCE = ("no_new_privs", "capabilities", "landlock", "seccomp")
COUNTED = ("tools", "providers", "engines", "globals", "templates")


@click.command()
@click.pass_obj
def info(shell: Shell) -> None:
    """Show what is available here.

    The engines, what is installed, the files in use, and how well scripts are fenced in.

    \b
    Examples:
      llmspell info
      llmspell info --output json
    """
    catalog = shell.catalog()
    data = {
        "version": metadata.version("llmspell"),
        "python": platform.python_version(),
        "platform": platform.platform(),
        "engines": _engines(catalog),
        "components": {kind: len(catalog.components(kind)) for kind in COUNTED},
        "extras": _extras(),
        "problems": len(catalog.problems()),
        "configuration": _configuration(shell),
        "fence": _fence(),
    }
    shell.emit(data, lambda: _page(data))


def _engines(catalog: Catalog) -> list[dict[str, Any]]:
    """Installed engines, and the known ones that are not, with what to install."""
    found = [
        {"name": e.name, "available": e.available, "distribution": e.distribution, "error": e.error}
        for e in catalog.components("engines")
    ]
    names = {engine["name"] for engine in found}
    from llmspell_core.plugins.catalog import known_distribution

    absent = [name for name in ("lua", "javascript") if name not in names]
    return found + [
        {"name": name, "available": False, "distribution": known_distribution("engines", name)} for name in absent
    ]


def _extras() -> list[str]:
    """The extras of `llmspell` of which every distribution is installed."""
    import re

    about = metadata.metadata("llmspell")
    parts: dict[str, list[str]] = {extra: [] for extra in about.get_all("Provides-Extra") or []}
    for requirement in about.get_all("Requires-Dist") or []:
        extra = re.search(r"extra == ['\"]([^'\"]+)", requirement)
        name = re.match(r"[A-Za-z0-9._-]+", requirement)
        if extra and name and extra[1] in parts and name[0] != "llmspell":
            parts[extra[1]].append(name[0])
    return [extra for extra, names in parts.items() if names and all(map(_installed, names))]


def _installed(distribution: str) -> str | None:
    try:
        return metadata.version(distribution)
    except metadata.PackageNotFoundError:
        return None


def _configuration(shell: Shell) -> dict[str, Any]:
    loaded = shell.config(check=False)
    return {
        "path": str(loaded.path) if loaded.path else None,
        "home": str(loaded.home),
        "security_profile": loaded.get("runtime.security.profile"),
        "allows": _allowed(loaded),
        "providers": loaded.provider_names(),
    }


def _allowed(loaded: Config) -> dict[str, Any]:
    """What the policy lets tools do, all settings and profiles put together; None where the settings are wrong."""
    from llmspell_core.config import policy_settings
    from llmspell_core.policy import PolicySettings

    try:
        made = PolicySettings.of(policy_settings(loaded))
    except LLMSpellError:
        return {}
    return {
        "files": list(made.allowed_paths) if made.allow_file_access else [],
        "hosts": list(made.allowed_hosts) if made.allow_network_access else [],
        "private_networks": list(made.allow_private_networks) if made.allow_network_access else [],
        "programs": list(made.allowed_commands) if made.allow_process_spawn else [],
        "variables": list(made.allowed_env_vars),
        "tools": f"up to {made.max_tool_level}" if made.allow_tools else "none",
    }


def _fence() -> dict[str, Any]:
    """What the operating system takes away from a script's process."""
    from llmspell_core.script.fence import probe

    try:
        return probe()
    except (LLMSpellError, OSError) as error:
        return {"error": getattr(error, "message", None) or str(error)}


def _page(data: dict[str, Any]) -> str:
    about = data["configuration"]
    rows = [
        ("version", data["version"]),
        ("python", f"{data['python']} on {data['platform']}"),
        *((f"engine {e['name']}", _engine(e)) for e in data["engines"]),
        *((kind, str(count)) for kind, count in data["components"].items()),
        ("extras", ", ".join(data["extras"]) or "none complete"),
        ("configuration", about["path"] or "defaults (no file)"),
        ("home", about["home"]),
        ("security", about["security_profile"]),
        *((f"  {name.replace('_', ' ')}", _listed(value)) for name, value in about["allows"].items()),
        ("fence", _fence_line(data["fence"])),
        *((f"  {name}", str(data["fence"][name])) for name in FENCE if name in data["fence"]),
    ]
    if data["problems"]:
        rows.append(("problems", f"{data['problems']}; see: llmspell plugin list --problems"))
    return facts(rows)


def _listed(value: list[str] | str) -> str:
    if isinstance(value, str):
        return value
    return "any" if "*" in value else ", ".join(value) or "none"


def _engine(engine: dict[str, Any]) -> str:
    if engine["available"]:
        return "available"
    error = engine.get("error")
    return f"broken: {error['message']}" if error else f"not available; pip install {engine['distribution']}"


def _fence_line(fence: dict[str, Any]) -> str:
    if "error" in fence:
        return str(fence["error"])
    missing = [f"{name} {fence[name]}" for name in fence["missing"]]
    return f"incomplete: {'; '.join(missing)}" if missing else "complete"
