"""Placeholders in every form, at any depth."""

from __future__ import annotations

from typing import Any

import pytest

from llmspell_core.errors import WorkflowError

Cast = Any
FIRST = {"name": "first", "execute": lambda _c: {"title": "Owls", "tags": ["a", "b"], "n": 3}}
JSON_TEXT = {"name": "model", "execute": lambda _c: '{"verdict": "good", "score": 9}'}


def echo(context: dict[str, Any]) -> Any:
    return context["input"]


async def seen(cast: Cast, given: Any, input: Any = None, *before: Any) -> Any:
    """What a step gets for `given`."""
    steps = [*before, {"name": "echo", "execute": echo, "input": {"v": given}}]
    return (await cast("sequential", {"steps": steps}, input))["outputs"]["echo"]["v"]


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("{{step.first.result}}", {"title": "Owls", "tags": ["a", "b"], "n": 3}),
        ("{{step:first:output}}", {"title": "Owls", "tags": ["a", "b"], "n": 3}),
        ("{{step:first:output.title}}", "Owls"),
        ("{{step.first.result.tags.2}}", "b"),
        ("{{step.first.output.n}}", 3),
        ("{{ step.first.n }}", 3),
        ("{{first.title}}", "Owls"),
        ("$first.output", {"title": "Owls", "tags": ["a", "b"], "n": 3}),
        ("{{step:model:output.verdict}}", "good"),
        ("{{input.topic}}", "birds"),
        ("{{input.deep.er}}", 5),
        ("{{topic}}", "birds"),
        ("about {{topic}}: {{step.first.result.n}} of {{first.tags}}", 'about birds: 3 of ["a", "b"]'),
        ("$first.output!", '{"title": "Owls", "tags": ["a", "b"], "n": 3}!'),
    ],
)
async def test_every_form_finds_its_value(cast: Cast, text: str, value: object) -> None:
    assert await seen(cast, text, {"topic": "birds", "deep": {"er": 5}}, FIRST, JSON_TEXT) == value


async def test_placeholders_are_replaced_at_any_depth(cast: Cast) -> None:
    found = await seen(cast, {"list": [{"deep": "{{topic}}"}, 5]}, {"topic": "x"})
    assert found == {"list": [{"deep": "x"}, 5]}


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("{{x}}", "unknown placeholder {{x}}"),
        ("Dear {{ a b }}", "unknown placeholder {{ a b }}"),
        ("$HOME.output", "unknown placeholder $HOME.output"),
        ("{{loop:current_value}}", "unknown placeholder {{loop:current_value}}"),
        ("{{branch:a:b:output}}", "unknown placeholder {{branch:a:b:output}}"),
        ("{{shared.kept}}", "unknown placeholder {{shared.kept}}"),
        ("{{input.tpic}}", "unknown placeholder {{input.tpic}} (did you mean 'topic'?)"),
        ("{{topc.deep}}", "unknown placeholder {{topc.deep}} (did you mean 'topic'?)"),
    ],
)
async def test_what_nobody_knows_is_an_error(cast: Cast, text: str, told: str) -> None:
    with pytest.raises(WorkflowError) as caught:
        await seen(cast, text, {"topic": "x"})
    assert caught.value.message.endswith(told)


@pytest.mark.parametrize(
    ("text", "shown"),
    [(r"\{{x}} and {{topic}}", "{{x}} and birds"), (r"\$HOME.output", "$HOME.output"), ("{{}}", "{{}}")],
)
async def test_a_backslash_makes_it_the_text_itself(cast: Cast, text: str, shown: str) -> None:
    assert await seen(cast, text, {"topic": "birds"}) == shown


@pytest.mark.parametrize("text", ["{{step.ghost.result}}", "see {{step:ghost:output}}", "{{step.ghost}}"])
async def test_a_step_that_does_not_exist_is_an_error(cast: Cast, text: str) -> None:
    with pytest.raises(WorkflowError, match="no step 'ghost'"):
        await seen(cast, text)


async def test_a_step_without_output_is_an_error(cast: Cast) -> None:
    late = {"steps": [{"name": "a", "execute": echo, "input": "{{step.b.result}}"}, {"name": "b", "execute": echo}]}
    with pytest.raises(WorkflowError, match="'b' has no output"):
        await cast("sequential", late)


async def test_what_a_step_returned_is_not_read_again(cast: Cast) -> None:
    trap = {"name": "trap", "execute": lambda _c: "{{input.secret}}"}
    assert await seen(cast, "{{step.trap.result}}", {"secret": "s"}, trap) == "{{input.secret}}"


async def test_loop_and_branch_variables(cast: Cast) -> None:
    text = (
        "{{loop:current_index}}/{{loop:total_iterations}} {{loop_index}} {{current_item.id}} {{loop:current_value.id}}"
    )
    body = [{"name": "e", "execute": echo, "input": {"v": text}}]
    made = await cast("loop", {"iterator": {"collection": [{"id": "x"}, {"id": "y"}]}, "body": body})
    assert [r["v"] for r in made["aggregated_results"]] == ["0/2 0 x x", "1/2 1 y y"]
    after = {
        "steps": [
            {
                "name": "both",
                "type": "parallel",
                "branches": [{"name": "l", "steps": [{"name": "s", "execute": lambda _c: "L"}]}],
            },
            {"name": "e", "execute": echo, "input": {"v": "{{step.both.result.l}} {{step:both:output.outputs.s}}"}},
        ]
    }
    assert (await cast("sequential", after))["outputs"]["e"]["v"] == "L L"


async def test_shared_data_is_found(cast: Cast) -> None:
    write = {"name": "w", "execute": lambda _c: {"success": True, "output": 1, "state_updates": {"k": {"deep": "v"}}}}
    assert await seen(cast, "{{shared.k.deep}} {{k.deep}}", None, write) == "v v"


async def test_a_workflow_in_place_of_a_step_sees_the_steps_before_it(cast: Cast) -> None:
    inner = {"name": "e", "execute": echo, "input": {"v": "{{step.first.result.title}} {{shared.k}} {{topic}}"}}
    write = {"name": "w", "execute": lambda _c: {"success": True, "output": 1, "state_updates": {"k": "K"}}}
    steps = [
        FIRST,
        write,
        {"name": "in", "type": "sequential", "steps": [{"name": "deep", "type": "parallel", "steps": [inner]}]},
    ]
    made = await cast("sequential", {"steps": steps}, {"topic": "x"})
    assert made["outputs"]["in"]["e"]["v"] == "Owls K x"


async def test_a_workflow_of_its_own_does_not(runtime: Any, cast: Cast) -> None:
    runtime.workflows.make(
        "sequential", {"name": "own", "steps": [{"name": "e", "execute": echo, "input": "{{step.first.n}}"}]}
    )
    with pytest.raises(WorkflowError, match="no step 'first'"):
        await cast("sequential", {"steps": [FIRST, {"name": "in", "workflow": "own"}]})
