"""`llmspell provider`: which models can be reached from here."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from llmspell_core.cli import completing
from llmspell_core.cli.lazy import SuggestingGroup
from llmspell_core.cli.shell import Shell
from llmspell_core.cli.tables import boxed, listed

if TYPE_CHECKING:
    from llmspell_core.provider import Provider
    from llmspell_core.runtime import Runtime

__all__ = ["provider"]


@click.group(cls=SuggestingGroup, invoke_without_command=True)
@click.option("--detailed", is_flag=True, hidden=True)
@click.pass_context
def provider(ctx: click.Context, detailed: bool) -> None:
    """List and test model providers.

    \b
    Examples:
      llmspell provider list
      llmspell provider test openai
    """
    if ctx.invoked_subcommand is None:
        ctx.invoke(list_, detailed=detailed)


@provider.command("list")
@click.option("--detailed", is_flag=True, help="Also say what each one can do.")
@click.pass_obj
def list_(shell: Shell, detailed: bool) -> None:
    """List the providers that are installed or configured.

    \b
    Example:
      llmspell provider list --output json
    """
    data = shell.run(_rows(shell))
    heading = ["name", "type", "enabled", "has_credentials", "default_model"]
    heading += ["streaming", "multimodal", "base_url"] if detailed else []
    cells = [[_word(row.get(key)) for key in heading] for row in data]
    shell.emit(data, lambda: listed(heading, cells), lambda: boxed(heading, cells))


def _word(value: Any) -> str:
    if value is None:
        return "-"
    return ("yes" if value else "no") if isinstance(value, bool) else str(value)


async def _rows(shell: Shell) -> list[dict[str, Any]]:
    async with shell.runtime() as runtime:
        return [await _row(runtime, name) for name in runtime.providers.names()]


async def _row(runtime: Runtime, name: str) -> dict[str, Any]:
    from llmspell_core.errors import LLMSpellError

    settings = runtime.providers.settings(name)
    row: dict[str, Any] = {
        "name": name,
        "type": settings.provider_type,
        "default_model": settings.default_model,
        "base_url": settings.base_url,
        "configured": name in runtime.providers.configured(),
    }
    try:
        cls = runtime.providers.provider_class(settings)
    except LLMSpellError as error:
        return row | {"enabled": False, "has_credentials": bool(settings.api_key), "error": error.message}
    needed = _needs_key(cls, settings.provider_type)
    ready = bool(settings.api_key) or not needed
    return row | {"enabled": ready, "has_credentials": bool(settings.api_key)} | await _abilities(runtime, name, ready)


def _needs_key(cls: type[Provider], type_: str) -> bool:
    return bool(cls.presets.get(type_, {}).get("requires_key", cls.requires_key))


async def _abilities(runtime: Runtime, name: str, ready: bool) -> dict[str, bool]:
    if not ready:
        return {}
    capabilities = (await runtime.providers.get(name)).capabilities
    return {"streaming": capabilities.supports_streaming, "multimodal": capabilities.supports_multimodal}


@provider.command()
@click.argument("name", shell_complete=completing.component("providers"))
@click.pass_obj
def test(shell: Shell, name: str) -> int:
    """Ask a provider whether it would answer; exit code 1 if not.

    \b
    Example:
      llmspell provider test openai
    """
    with shell.waiting(f"asking {name}"):
        data = shell.run(_test(shell, name))
    if data["healthy"]:
        models = f": {', '.join(data['models'][:5])}" if data["models"] else ""
        shell.emit(data, f"{name} answers{models}")
        return 0
    if shell.is_json:
        shell.emit(data)
    click.echo(f"Error: provider '{name}' does not answer: {data['reason']}", err=True)
    return 1


async def _test(shell: Shell, name: str) -> dict[str, Any]:
    async with shell.runtime() as runtime:
        runtime.providers.provider_class(runtime.providers.settings(name))
        health = await (await runtime.providers.get(name)).health()
    return {"name": name} | health.to_dict()
