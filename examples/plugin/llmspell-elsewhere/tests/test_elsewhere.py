"""What is special about this plugin."""

import os

import pytest
from llmspell_elsewhere.executor import Elsewhere

from llmspell_core.errors import ValidationError
from llmspell_core.executor import Job

LUA = """
local wf = Workflow.create({type = "tries", steps = {
  {name = "a", execute = function() error("not here") end},
  {name = "b", execute = function() return "there" end},
  {name = "c", execute = function() return "never" end},
}})
local r = wf:execute()
local ok, err = pcall(Workflow.create, {type = "tries", steps = {}})
return {r.output, r.metadata.extra.tried, r.status, wf.type, tostring(err):find("tries needs 'steps'") ~= nil}
"""
JS = """
const wf = Workflow.builder().type("tries")
  .addStep({name: "a", execute: () => { throw new Error("not here") }})
  .addStep({name: "b", execute: async () => "there"})
  .addStep({name: "c", execute: () => "never"})
  .build()
const r = await wf.execute()
let error = ""
try { Workflow.create({type: "tries", steps: []}) } catch (e) { error = e.message }
return [r.output, r.metadata.extra.tried, r.status, wf.type, error.includes("tries needs 'steps'")]
"""


@pytest.mark.parametrize(("source", "language"), [(LUA, "lua"), (JS, "javascript")])
def test_scripts_use_the_type_by_name(run_script, source, language):
    assert run_script(source, language).value == ["there", 2, "partially_completed", "tries", True]


async def test_python_uses_the_type_by_name(runtime):
    steps = [{"name": n, "tool": t, "input": {"text": "x"}} for n, t in (("a", "nowhere"), ("b", "where"))]
    made = runtime.workflows.make("tries", {"steps": steps})
    assert (await runtime.run_workflow(made)).metadata.extra["output"]["text"] == "x"
    with pytest.raises(ValidationError, match="Unknown step type: 'magic'"):
        runtime.workflows.make("tries", {"steps": [{"name": "a", "type": "magic"}]})


async def test_plain_jobs_run_in_another_process(isolated):
    step = {"name": "w", "type": "tool", "tool": "where", "input": {"text": "{{item}}"}}
    jobs = [Job(i, step, variables={"item": f"i{i}"}) for i in range(5)]
    answers = [done async for done in Elsewhere().run(jobs, None, limit=3)]
    outputs = {done.index: done.value["output"] for done in answers}
    assert [outputs[i]["text"] for i in range(5)] == ["i0", "i1", "i2", "i3", "i4"]
    assert {output["pid"] for output in outputs.values()}.isdisjoint({os.getpid()})


async def test_what_goes_wrong_elsewhere_is_an_answer(isolated):
    step = {"name": "w", "type": "tool", "tool": "nowhere"}
    (done,) = [done async for done in Elsewhere().run([Job(0, step)], None, limit=3)]
    assert "Tool 'nowhere' not found" in done.value["error"]
    (done,) = [done async for done in Elsewhere().run([Job(0, {**step, "condition": 5})], None, limit=3)]
    assert "a condition is a table" in done.error.message
