"""The template ask, from Python and from the desk."""

from __future__ import annotations

from typing import Any

import pytest

from llmspell_core.errors import NotFoundError, ValidationError
from llmspell_core.testing import say


async def test_it_asks_and_reports(make_runtime: Any) -> None:
    runtime = await make_runtime(replies=[say("Because.", input_tokens=5, output_tokens=2)])
    output = await runtime.run_template("ask", {"question": "Why?", "model": "scripted/any"})
    report = output.metadata.extra["template"]
    assert output.text == report["result"] == "Because."
    assert report["metrics"]["tokens_used"] == 7
    assert report["metrics"]["agents_invoked"] == 1
    assert report["metadata"]["template_id"] == "ask"
    assert report["artifacts"] == []


async def test_a_wrong_parameter_is_named(make_runtime: Any) -> None:
    runtime = await make_runtime()
    with pytest.raises(ValidationError, match="'question' is required"):
        await runtime.run_template("ask", {})


async def test_an_unknown_template_offers_the_nearest(make_runtime: Any) -> None:
    runtime = await make_runtime()
    with pytest.raises(NotFoundError, match="Template 'aks' not found"):
        await runtime.run_template("aks", {})


async def test_it_says_what_it_would_take(make_runtime: Any) -> None:
    runtime = await make_runtime()
    template = runtime.templates.find("ask")
    estimate = await template.estimate(template.validate_parameters({"question": "x" * 40, "max_tokens": 10}))
    assert estimate.estimated_tokens == 20
