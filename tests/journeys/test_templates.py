"""Templates from the shell and from both languages."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from llmspell_core.testing import say

LUA = """
local out = Template.execute("ask", {question = "Why?", model = "scripted/any"})
local p = Template.schema("ask").parameters
local ok, err = pcall(Template.info, "nothing")
return {out.result, out.success, #out.artifacts, p[1].name, p[1].required, p[1].constraints.min_length,
  #Template.list("CHAT"), #Template.search("question"), ok, err, Template.estimate_cost("ask", {question = "x"}).confidence}
"""
JS = """
const out = await Template.execute("ask", {question: "Why?", model: "scripted/any"});
const p = Template.schema("ask").parameters;
let ok = true, err;
try { Template.info("nothing") } catch (e) { ok = false; err = e.message }
return [out.result, out.success, out.artifacts.length, p[0].name, p[0].required, p[0].constraints.min_length,
  Template.list("CHAT").length, Template.search("question").length, ok, err,
  (await Template.estimateCost("ask", {question: "x"})).confidence];
"""


@pytest.mark.parametrize(("language", "source"), [("lua", LUA), ("javascript", JS)])
def test_scripts_use_templates(language: str, source: str, run_script: Callable[..., Any]) -> None:
    value = run_script(source, language, replies=[say("Because.")]).value
    assert "Template 'nothing' not found" in value[9]
    assert value[:9] + value[10:] == ["Because.", True, 0, "question", True, 1, 1, 1, False, 0.6]


def test_the_shell_lists_describes_and_checks(invoke_cli: Callable[..., Any]) -> None:
    assert "ask" in invoke_cli("template", "list").assert_success().stdout
    schema = json.loads(invoke_cli("template", "schema", "ask").assert_success().stdout)
    assert schema["required"] == ["question"]
    found = json.loads(invoke_cli("template", "search", "question", "--output", "json").assert_success().stdout)
    assert [row["id"] for row in found["results"]] == ["ask"]
    bad = invoke_cli("template", "exec", "ask", "--dry-run")
    assert bad.exit_code == 1
    assert "'question' is required" in bad.stderr


def test_the_shell_runs_one_on_the_local_model(invoke_cli: Callable[..., Any], smollm2: Any) -> None:
    done = invoke_cli(
        "template", "exec", "ask", "--param", "question=Say hello.", "--param", "max_tokens=10", "--output", "json"
    )
    report = json.loads(done.assert_success().stdout)
    assert report["result"]
    assert report["metrics"]["tokens_used"] > 0
