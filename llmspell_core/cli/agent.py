"""`llmspell agent`: runs of agents that wait for a person's consent."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import click

from llmspell_core.cli.lazy import SuggestingGroup
from llmspell_core.cli.shell import Shell
from llmspell_core.cli.tables import listed
from llmspell_core.errors import UsageError

if TYPE_CHECKING:
    from llmspell_core.agent.run_record import RunRecord

__all__ = ["agent"]


@click.group(cls=SuggestingGroup)
def agent() -> None:
    """Decide about runs that wait for consent.

    An agent whose tool call needs consent stops when nobody can be asked. Its run is kept.

    \b
    Examples:
      llmspell agent pending
      llmspell agent resume run_1f0c9a2b --approve
    """


@agent.command()
@click.pass_obj
def pending(shell: Shell) -> None:
    """List the runs that wait, and the calls they wait for.

    Calls that need no consent and are made as soon as the run goes on are listed, too.

    \b
    Example:
      llmspell agent pending
    """
    from llmspell_core.cli.person import as_text, named

    found = shell.run(_pending(shell))
    calls = [(r.id, c) for r in found for c in r.requests()]
    more = [(r.id, agent.agent, c) for r in found for agent, c in r.unmade() if c.tool_id not in agent.ask]
    data = [{"record": id_, **request.to_dict()} for id_, request in calls]
    also = [{"record": id_, "agent": name, "tool": c.tool_name, "parameters": c.parameters} for id_, name, c in more]
    rows = [(id_, named(c.call_id), named(c.agent), named(c.tool), as_text(c.parameters)) for id_, c in calls]
    rows += [(id_, "-", named(name), named(c.tool_name), as_text(c.parameters)) for id_, name, c in more]
    shell.emit(
        {"waiting": data, "also_made": also, "count": len(data)},
        lambda: listed(("run", "call", "agent", "tool", "with"), rows),
    )
    if not found:
        shell.note("No run waits for a decision.")


async def _pending(shell: Shell) -> list[RunRecord]:
    async with shell.runtime() as runtime:
        return await runtime.records.all()


@agent.command()
@click.argument("record")
@click.option("--approve", "decision", flag_value="approve", help="Let all calls that wait be made.")
@click.option("--deny", "decision", flag_value="deny", help="Refuse them; the agent is told.")
@click.option("--call", "calls", multiple=True, metavar="ID=approve|deny", help="Decide one call; may be repeated.")
@click.pass_obj
def resume(shell: Shell, record: str, decision: str | None, calls: tuple[str, ...]) -> None:
    """Decide, and let the run go on.

    RECORD is an id from `agent pending`, or a file that the program wrote with save_record. Every call that is made now is
    shown first, also of those that need no consent.

    \b
    Examples:
      llmspell agent resume run_1f0c9a2b --approve
      llmspell agent resume waiting.json --deny
    """
    chosen = _decisions(decision, calls)
    output = shell.run(_resume(shell, record, chosen))
    shell.emit({"record": record, "text": output.text, "metadata": output.to_dict()["metadata"]}, output.text)


def _decisions(decision: str | None, calls: tuple[str, ...]) -> Any:
    if (decision is None) == (not calls):
        raise UsageError(
            "say --approve or --deny, or decide each call with --call", hint="llmspell agent resume --help"
        )
    if decision is not None:
        return decision
    pairs = [call.rpartition("=") for call in calls]
    wrong = [call for call, pair in zip(calls, pairs, strict=True) if pair[2] not in {"approve", "deny"} or not pair[0]]
    if wrong:
        raise UsageError(f"'{wrong[0]}' is not a decision", hint="Write --call ID=approve or --call ID=deny.")
    return {id_: word for id_, _, word in pairs}


async def _resume(shell: Shell, record: str, decisions: Any) -> Any:
    from llmspell_core.cli.account import Account
    from llmspell_core.cli.consent import ask_for_consent
    from llmspell_core.cli.input import StandardInput
    from llmspell_core.cli.model import offer_models
    from llmspell_core.cli.person import Person
    from llmspell_core.cli.waiting import Waiting, watch

    account, person = Account(), Person(StandardInput())
    async with shell.runtime() as runtime:
        offer_models(shell, runtime, person)
        ask_for_consent(shell, runtime, person)
        watch(runtime, Waiting(shell))
        runtime.observe(account)
        try:
            return await runtime.resume_run(record, decisions, tell=_tell)
        except asyncio.CancelledError:
            account.tell(shell)
            raise


def _tell(record: RunRecord) -> None:
    """Say what is about to happen, also under `--quiet`: nothing may happen that nobody saw."""
    for line in _plan(record):
        click.echo(line, err=True)


def _plan(record: RunRecord) -> Iterator[str]:
    from llmspell_core.cli.person import as_text, named

    for agent, call in record.refused():
        yield f"refused: agent {named(agent.agent)}: {named(call.tool_name)} with {as_text(call.parameters)}"
    for agent, call in record.unmade():
        word = "allowed" if call.tool_id in agent.ask else "goes on"
        yield f"{word}: agent {named(agent.agent)}: {named(call.tool_name)} with {as_text(call.parameters)}"
    if record.root["kind"] == "workflow":
        yield f"goes on: workflow {named(str(record.root['name']))}: {as_text(record.root['definition'])}"
