"""`llmspell ask`: one question to a model, from the command line or a pipe."""

from __future__ import annotations

import asyncio
import json
import os
import stat
import sys
from contextlib import aclosing
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from llmspell_core.cli import completing
from llmspell_core.cli.account import Account
from llmspell_core.cli.harmless import harmless
from llmspell_core.cli.scripts import Seconds
from llmspell_core.cli.shell import Shell, dumps
from llmspell_core.cli.streams import read_stdin
from llmspell_core.cli.waiting import Waiting, watch
from llmspell_core.errors import UsageError, ValidationError

if TYPE_CHECKING:
    from llmspell_core.agent import LLMAgent
    from llmspell_core.messages import AgentOutput
    from llmspell_core.runtime import Runtime

__all__ = ["ask"]

MOST_INPUT = 20_000_000
"""Bytes of standard input: no model takes as much."""
NO_MODEL = "Name one, e.g. -m openai/gpt-4o-mini, or set providers.<name>.default_model; see: llmspell provider list"


@dataclass(frozen=True, slots=True)
class Question:
    """What is asked, and of whom."""

    text: str
    model: str | None
    tools: tuple[str, ...]
    system: str | None
    schema: dict[str, Any] | None
    timeout: float | None


@click.command()
@click.argument("words", metavar="[PROMPT]...", nargs=-1)
@click.option(
    "-m",
    "--model",
    metavar="NAME",
    shell_complete=completing.model,
    help="provider/model; by default the configured one.",
)
@click.option(
    "-t",
    "--tool",
    "tools",
    metavar="NAME",
    multiple=True,
    shell_complete=completing.component("tools"),
    help="A tool that it may call; repeatable.",
)
@click.option("-s", "--system", metavar="TEXT", help="The system prompt.")
@click.option("--schema", metavar="FILE|JSON", help="JSON schema; the answer is JSON that follows it.")
@click.option("--timeout", type=Seconds(), metavar="SECONDS", help="Deadline; by default 300.")
@click.pass_obj
def ask(shell: Shell, /, words: tuple[str, ...], model: str | None, **options: Any) -> None:
    """Ask a model one question.

    What comes through a pipe follows the PROMPT; - alone, or no PROMPT, asks what comes through the pipe. The answer appears
    piece by piece on a terminal, and whole in a pipe.

    \b
    Examples:
      llmspell ask "Why is the sky blue?"
      cat report.txt | llmspell ask "Sum it up in one sentence." -m anthropic/claude-sonnet-4-5
      llmspell ask "What is 17% of 3200?" -t calculator
      llmspell ask "Three cities" --schema '{"type": "array", "items": {"type": "string"}}'
    """
    schema = None if options["schema"] is None else _schema(options["schema"])
    prompt = " ".join(words)
    text = _prompt("" if prompt == "-" else prompt, _piped(shell, is_wanted=prompt == "-"))
    tools = tuple(dict.fromkeys(options["tools"]))
    question = Question(text, model, tools, options["system"], schema, options["timeout"])
    try:
        output, is_shown = shell.run(_ask(shell, question))
    except ValidationError as error:
        if error.field == "model":
            error.hint = NO_MODEL
        raise
    _emit(shell, output, question, is_shown=is_shown)


# -- what is asked -----------------------------------------------------------------------------------------------------


def _prompt(given: str, piped: str) -> str:
    parts = [part for part in (given, piped) if part.strip()]
    if not parts:
        raise UsageError(
            "there is nothing to ask",
            field="PROMPT",
            hint='llmspell ask "...", or: cat FILE | llmspell ask "sum it up"',
        )
    return "\n\n".join(parts)


def _piped(shell: Shell, *, is_wanted: bool) -> str:
    """What comes through a pipe or from a file. A terminal and /dev/null have nothing, and are not waited for."""
    if not is_wanted and not _is_fed():
        return ""
    with shell.waiting("reading standard input"):
        data = read_stdin(MOST_INPUT + 1)
    if len(data) > MOST_INPUT:
        raise ValidationError(
            f"standard input has more than {MOST_INPUT:,} bytes, which no model takes at once",
            field="stdin",
            hint="Ask about a part of it, e.g. head -c 100000 FILE | llmspell ask ..., or go over its parts in a script.",
        )
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise ValidationError(
            f"standard input is not UTF-8 text: byte {error.start} is {data[error.start]:#04x}",
            field="stdin",
            hint="A model is asked about text. For PDF, images and archives there are tools; see: llmspell tool list",
        ) from None
    if not text.strip():
        shell.note("Note: nothing came through the pipe; only the prompt is asked")
    return text


def _is_fed() -> bool:
    try:
        mode = os.fstat(sys.stdin.fileno()).st_mode
    except (OSError, ValueError, AttributeError):  # closed
        return False
    return stat.S_ISFIFO(mode) or stat.S_ISREG(mode) or stat.S_ISSOCK(mode)


def _schema(given: str) -> dict[str, Any]:
    """The JSON schema itself, or what a file of that name holds."""
    text, place = given, "--schema"
    if not given.lstrip().startswith("{"):
        place = f"--schema {given.removeprefix('@')}"
        try:
            text = Path(given.removeprefix("@")).read_text("utf-8")
        except (OSError, UnicodeDecodeError) as error:
            reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8 text"
            hint = """Name a file, or write the schema itself: --schema '{"type": "object", ...}'"""
            raise UsageError(f"{place} cannot be read: {reason}", field="schema", hint=hint) from None
    try:
        value = json.loads(text)
    except ValueError as error:
        raise UsageError(f"{place} is not JSON: {error}", field="schema", hint="Quote it for the shell.") from None
    if not isinstance(value, dict):
        raise UsageError(f"{place} must be a JSON object", field="schema", hint='e.g. {"type": "object"}')
    return value


# -- the answer --------------------------------------------------------------------------------------------------------


async def _ask(shell: Shell, question: Question) -> tuple[AgentOutput, bool]:
    """The answer, and whether it stands on the terminal already."""
    from llmspell_core.cli.consent import ask_for_consent
    from llmspell_core.cli.input import StandardInput
    from llmspell_core.cli.model import offer_models
    from llmspell_core.cli.person import Person

    account, person = Account(), Person(StandardInput())
    is_live = sys.stdout.isatty() and question.schema is None and shell.options.output == "text"
    async with shell.runtime() as runtime:
        offer_models(shell, runtime, person)
        ask_for_consent(shell, runtime, person)
        watch(runtime, Waiting(shell))
        runtime.observe(account)
        agent = _agent(runtime, question)
        try:
            if not is_live:
                return await runtime.run_agent(agent, question.text), False
            return await _stream(runtime, agent, question.text), True
        except asyncio.CancelledError:
            account.tell(shell)
            raise


def _agent(runtime: Runtime, question: Question) -> LLMAgent:
    builder = runtime.agents.builder().name("ask").tool(*question.tools)
    values = {"model": question.model, "system_prompt": question.system, "response_schema": question.schema}
    if question.timeout is not None:
        builder = builder.max_execution_time(question.timeout)
    return builder.set(**values).build()


async def _stream(runtime: Runtime, agent: LLMAgent, text: str) -> AgentOutput:
    """Print the pieces as they come."""
    output: AgentOutput | None = None
    is_open = False
    chunks = runtime.stream_agent(agent, text)
    try:
        async with aclosing(chunks):
            async for chunk in chunks:
                output = chunk.output or output
                shown = harmless(chunk.text) if chunk.type == "text" else ""
                if chunk.type == "tool_call" and is_open:
                    shown = "\n"  # what it said before a call is no part of the next sentence
                print(shown, end="", flush=True)
                is_open = not shown.endswith("\n") if shown else is_open
    finally:
        if is_open:
            print(flush=True)
    assert output is not None
    return output


def _emit(shell: Shell, output: AgentOutput, question: Question, *, is_shown: bool) -> None:
    if is_shown:
        return
    data = output.to_dict()
    metadata = data["metadata"]
    parsed = metadata["extra"].pop("parsed", None)
    about: dict[str, Any] = {"status": "success", "text": output.text}
    about |= {"data": parsed} if question.schema is not None else {}
    about |= {"tool_calls": data["tool_calls"], "metadata": {**metadata.pop("extra"), **metadata}}
    text = output.text if question.schema is None else dumps(parsed)
    shell.emit(about, text, lambda: f"{text}\n\nModel: {metadata['model']}  Time: {metadata['execution_time_ms']} ms")
