"""The examples of agents do what their first lines promise: on the real local model, and against a server on a socket."""

from __future__ import annotations

import asyncio
import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from llmspell_core.testing.fake_server import FakeServer, Received, Reply

EXAMPLES = Path(__file__).parents[2] / "examples"
LANGUAGES = ("lua", "js")
Cli = Callable[..., Any]
Answer = Callable[[dict[str, Any]], dict[str, Any]]

both = pytest.mark.parametrize("language", LANGUAGES)
DOWN = {"LLMSPELL_PROVIDERS__LMSTUDIO__BASE_URL": "http://127.0.0.1:9/v1"}


@pytest.fixture
def example(isolated: Path, invoke_cli: Cli) -> Cli:
    """`example("lua", "handoff_triage", "--model", "x")`: runs it from a checkout, as its first lines say."""
    shutil.copytree(EXAMPLES, isolated / "examples")

    def run(language: str, name: str, *args: str, **options: Any) -> Any:
        return invoke_cli("run", f"examples/{language}/{name}.{language}", "--", *args, timeout=100, **options)

    return run


def table(done: Any) -> list[tuple[str, str]]:
    """The lines `word   what it says` that an example prints."""
    lines = [re.split(r"\s{2,}", line, maxsplit=1) for line in done.assert_success().stdout.splitlines()]
    return [(line[0], line[1]) for line in lines if len(line) == 2]


# -- a server that says what a test wants ------------------------------------------------------------------------------


def says(text: str) -> dict[str, Any]:
    return {"role": "assistant", "content": text}


def calls(tool: str, **arguments: Any) -> dict[str, Any]:
    function = {"name": tool, "arguments": json.dumps(arguments)}
    return {
        "role": "assistant",
        "content": None,
        "tool_calls": [{"id": "c1", "type": "function", "function": function}],
    }


def completion(message: dict[str, Any]) -> Reply:
    finish = "tool_calls" if message.get("tool_calls") else "stop"
    usage = {"prompt_tokens": 5, "completion_tokens": 3, "total_tokens": 8}
    choices = [{"index": 0, "message": message, "finish_reason": finish}]
    head = {"id": "1", "object": "chat.completion", "created": 1, "model": "m-1"}
    return Reply(body=head | {"choices": choices, "usage": usage})


async def with_server(answer: Answer, example: Cli, *words: str, **env: str) -> tuple[Any, list[dict[str, Any]]]:
    """The example with a model `openai/any` that answers so; what it left behind, and what the server was asked."""

    def reply(received: Received) -> Reply:
        return completion(answer(received.json()))

    async with FakeServer(reply) as server:
        env |= {"LLMSPELL_PROVIDERS__OPENAI__BASE_URL": f"{server.url}/v1", "OPENAI_API_KEY": "k"}
        done = await asyncio.to_thread(example, *words, env=env)
        return done, [received.json() for received in server.received]


def system(body: dict[str, Any]) -> str:
    return str(body["messages"][0]["content"])


def last(body: dict[str, Any]) -> str:
    return str(body["messages"][-1]["content"])


# -- handoff triage ----------------------------------------------------------------------------------------------------

REPLIES = {"refund": "money back", "repair": "broken", "parcel": "address"}


@pytest.mark.model
@both
def test_triage_hands_each_customer_to_the_department_that_was_named(
    example: Cli, smollm2: Path, language: str
) -> None:
    lines = table(example(language, "handoff_triage"))
    assert [what for word, what in lines if word == "from"] == ["refund", "repair", "parcel"]
    assert [word for word, _ in lines] == ["customer", "answer", "from"] * 3


@both
async def test_triage_remembers_no_customer_and_the_department_sees_the_message(example: Cli, language: str) -> None:
    def answer(body: dict[str, Any]) -> dict[str, Any]:
        if body.get("tools"):
            return calls("transfer_to_agent", agent="repair")
        return says('{"reply": "Please describe what is broken."}')

    args = ("handoff_triage", "--model", "openai/any", "--message", "My kettle stays cold.")
    done, asked = await with_server(answer, example, language, *args)
    assert table(done)[1:] == [("answer", "Please describe what is broken."), ("from", "repair")]
    assert [last(body) for body in asked] == ["My kettle stays cold."] * 2
    assert (
        asked[1]["response_format"]["json_schema"]["schema"]["properties"]["reply"]["enum"][1]
        == "Please describe what is broken."
    )


# -- a tool with approval ----------------------------------------------------------------------------------------------


@pytest.mark.model
@both
def test_approval_yes_calculates_and_no_does_not(example: Cli, smollm2: Path, language: str) -> None:
    yes = dict(table(example(language, "tool_approval")))
    assert yes["asked"] == 'may clerk use calculator with {"input":"12 * 34"}?'
    assert yes["result"] == "408"
    no = dict(table(example(language, "tool_approval", "--decide", "no")))
    assert no["result"] == "the user did not allow this call: the calculator is not for today"


@pytest.mark.model
@both
def test_a_run_that_waits_goes_on_from_the_shell(example: Cli, invoke_cli: Cli, smollm2: Path, language: str) -> None:
    waits = dict(table(example(language, "tool_approval", "--decide", "later")))
    run = waits["waits"].rpartition(" ")[2]
    assert run in waits["next"]
    assert run in invoke_cli("agent", "pending").assert_success().stdout
    resumed = invoke_cli("agent", "resume", run, "--approve", timeout=100).assert_success()
    assert "408" in resumed.stdout
    assert run not in invoke_cli("agent", "pending").assert_success().stdout


@both
def test_approval_hides_no_other_error(example: Cli, language: str) -> None:
    done = example(language, "tool_approval", "--model", "openai/any")
    assert done.exit_code == 1
    assert "OPENAI_API_KEY" in done.stderr
    assert "waits" not in done.stdout


# -- extraction --------------------------------------------------------------------------------------------------------


@pytest.mark.model
@both
def test_extraction_prints_one_aligned_row_for_each_order(example: Cli, smollm2: Path, language: str) -> None:
    head, rule, *rows = example(language, "extract_table").assert_success().stdout.splitlines()
    ends = [len(part) for part in rule.split(" ", 1)]
    assert head.split() == ["customer", "quantity", "item"]
    assert [re.sub(r"\s+", " ", row).lower() for row in rows] == [
        "ada miller 3 blue mugs",
        "bob 12 chairs",
        "carla 1 lamp",
    ]
    assert all(row[ends[0]] == " " and row[ends[0] + 8].isdigit() for row in rows)


@both
async def test_an_answer_that_does_not_fit_the_schema_is_repaired_once(example: Cli, language: str) -> None:
    def answer(body: dict[str, Any]) -> dict[str, Any]:
        first = len(body["messages"]) == 6
        return says(json.dumps({"customer": "Ada", "quantity": 0 if first else 3, "item": "mugs"}))

    done, asked = await with_server(answer, example, language, "extract_table", "--model", "openai/any")
    assert [row.split() for row in done.assert_success().stdout.splitlines()[2:]] == [["Ada", "3", "mugs"]] * 3
    assert len(asked) == 6
    assert any("quantity" in last(body) and "minimum" in last(body) for body in asked)


# -- an agent as a tool ------------------------------------------------------------------------------------------------


@pytest.mark.model
@both
def test_the_guide_asks_the_geographer(example: Cli, smollm2: Path, language: str) -> None:
    lines = table(example(language, "agent_as_tool"))
    assert lines[0] == ("traveller", "What is the capital of France?")
    assert "france" in lines[1][1].lower()
    assert [(word, "Paris" in what) for word, what in lines[2:]] == [("geographer", True), ("guide", True)]


@both
async def test_the_geographer_is_asked_what_its_template_says(example: Cli, language: str) -> None:
    def answer(body: dict[str, Any]) -> dict[str, Any]:
        if system(body) == "You name the capital of a country.":
            return says("The capital is Madrid.")
        return (
            says("In Madrid.") if body["messages"][-1]["role"] == "tool" else calls("ask-geographer", country="Spain")
        )

    done, asked = await with_server(answer, example, language, "agent_as_tool", "--model", "openai/any")
    assert [what for _, what in table(done)[1:]] == [
        'asks the geographer: {"country":"Spain"}',
        "The capital is Madrid.",
        "In Madrid.",
    ]
    assert last(asked[1]) == "Spain"


# -- a chain of models -------------------------------------------------------------------------------------------------


@pytest.mark.model
@both
def test_the_second_model_answers_while_the_first_is_down(example: Cli, smollm2: Path, language: str) -> None:
    done = example(language, "fallback_chain", env=DOWN)
    assert [what for word, what in table(done) if word == "answered by"] == ["local/smollm2"] * 2
    assert done.stderr.count("lmstudio/any-model cannot answer") == 1


@both
async def test_no_model_of_the_chain_can_answer(example: Cli, language: str) -> None:
    args = ("fallback_chain", "--models", "lmstudio/any-model, openai/any")
    done = await asyncio.to_thread(example, language, *args, env=DOWN)
    nobody = [what for word, what in table(done) if word == "nobody"]
    assert len(nobody) == 2
    assert "cannot be reached" in nobody[0]
    assert "has no API key" in nobody[0]


# -- workflows of agents -----------------------------------------------------------------------------------------------


@both
async def test_the_editor_gets_the_notes_of_both_researchers(example: Cli, language: str) -> None:
    def answer(body: dict[str, Any]) -> dict[str, Any]:
        words = {
            "What is special about tides?": "They rise.",
            "What do people say about tides?": "They wait for no one.",
        }
        return says(words.get(last(body), "Tides rise and wait for no one."))

    args = ("research_pipeline", "--model", "openai/any", "--topic", "tides")
    done, asked = await with_server(answer, example, language, *args)
    assert table(done)[:3] == [
        ("biologist", "They rise."),
        ("historian", "They wait for no one."),
        ("editor", "Tides rise and wait for no one."),
    ]
    assert last(asked[2]) == "Notes on tides:\nThey rise.\nThey wait for no one.\nSummarize."


@both
async def test_the_texts_of_a_folder_are_read_apart_and_summed_up_together(
    example: Cli, isolated: Path, language: str
) -> None:
    notes = isolated / "notes"
    notes.mkdir()
    for word in ("one", "two", "three"):
        (notes / f"{word}.txt").write_text(f"text {word}", encoding="utf-8")

    def answer(body: dict[str, Any]) -> dict[str, Any]:
        return says(last(body).replace("Summarize: text", "short") if "Summarize" in last(body) else "all of it")

    args = ("map_reduce_summary", "--model", "openai/any", "--folder", "notes")
    done, asked = await with_server(answer, example, language, *args)
    expected = [("one.txt", "short one"), ("three.txt", "short three"), ("two.txt", "short two")]
    assert table(done) == [*expected, ("all together", "all of it")]
    assert [len(body["messages"]) for body in asked] == [2, 2, 2, 2]
    assert all(note in last(asked[3]) for _, note in expected)


@both
def test_a_folder_that_is_not_there_is_named(example: Cli, language: str) -> None:
    done = example(language, "map_reduce_summary", "--folder", "nowhere")
    assert done.exit_code == 1
    assert "there is no 'nowhere'" in done.stderr
