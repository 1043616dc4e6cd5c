"""`llmspell agent`: runs of agents that wait for a person's consent, and the question on a terminal."""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING, Any

import click

from llmspell_core.cli.lazy import SuggestingGroup
from llmspell_core.cli.shell import Shell
from llmspell_core.cli.tables import listed
from llmspell_core.errors import UsageError

if TYPE_CHECKING:
    from llmspell_core.agent.approval import ApprovalRequest
    from llmspell_core.agent.run_record import RunRecord
    from llmspell_core.runtime import Runtime

__all__ = ["agent", "ask_for_consent"]

LONGEST = 400
WORDS = {"y": True, "yes": True, "": False, "n": False, "no": False}


def ask_for_consent(shell: Shell, runtime: Runtime) -> None:
    """Let the person at the terminal decide about calls that need consent. Without a terminal nobody is asked."""
    if not shell.is_interactive:
        return
    one_at_a_time = asyncio.Lock()

    async def ask(request: ApprovalRequest) -> bool | None:
        async with one_at_a_time:
            return await _answer(question(request))

    runtime.approver = ask


async def _answer(text: str) -> bool | None:
    """What a person says to a question; None at the end of the input. An interrupt ends the wait at once."""
    from llmspell_core.cli.input import StandardInput

    lines = StandardInput()
    _forget_what_was_typed()
    while True:
        click.echo(f"{text} [y/N]: ", nl=False, err=True)
        line = await lines()
        word = (line or "").strip().lower()
        if line is None or word in WORDS:
            return None if line is None else WORDS[word]
        click.echo("Error: invalid input", err=True)


def _forget_what_was_typed() -> None:
    """What was typed before a question was shown is no answer to it."""
    import sys

    if sys.platform != "win32":
        import termios

        termios.tcflush(sys.stdin.fileno(), termios.TCIFLUSH)


def question(request: ApprovalRequest) -> str:
    """The call as a person reads it; nothing in it can draw on the terminal."""
    arguments = json.dumps(request.parameters, ensure_ascii=True, default=str)
    shown = arguments if len(arguments) <= LONGEST else arguments[:LONGEST] + "..."
    names = (json.dumps(name, ensure_ascii=True)[1:-1] for name in (request.agent, request.tool))
    return "Agent {} wants to call {} with {}. Allow it?".format(*names, shown)


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

    \b
    Example:
      llmspell agent pending
    """
    found = shell.run(_pending(shell))
    calls = [(r.id, c) for r in found for c in r.requests()]
    data = [{"record": id_, **request.to_dict()} for id_, request in calls]
    rows = [(id_, c.call_id, c.agent, c.tool, json.dumps(c.parameters, ensure_ascii=True)) for id_, c in calls]
    shell.emit({"waiting": data, "count": len(data)}, lambda: listed(("run", "call", "agent", "tool", "with"), rows))
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

    RECORD is an id from `agent pending`, or a file that the program wrote with save_record.

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
    from llmspell_core.cli.model import offer_models

    account = Account()
    async with shell.runtime() as runtime:
        offer_models(shell, runtime)
        ask_for_consent(shell, runtime)
        runtime.observe(account)
        try:
            return await runtime.resume_run(record, decisions)
        except asyncio.CancelledError:
            account.tell(shell)
            raise
