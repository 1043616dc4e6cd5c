-- A research pipeline: two agents look at a topic at the same time, a third one writes the report.
--   llmspell run examples/lua/research_pipeline.lua
--   llmspell run examples/lua/research_pipeline.lua -- --model openai/gpt-4o-mini --topic "tidal power"
--
-- The small local model makes up facts and does not come to an end by itself: max_tokens cuts it off.

local model = ARGS.model or "local/smollm2"
local topic = ARGS.topic or "owls"

local function agent(name, task)
  return Agent.builder():name(name):model(model):system_prompt(task):temperature(0):max_tokens(80):build()
end

agent("biologist", "You state one fact in one short sentence.")
agent("historian", "You state one fact in one short sentence.")
agent("editor", "You write one short sentence from notes.")

local spell = Spell.create({
  name = "research",
  workflow = Workflow.sequential({
    {
      name = "research",
      type = "parallel",
      branches = {
        { name = "nature", steps = { { name = "nature", agent = "biologist", input = "What is special about {{topic}}?", timeout_ms = 60000 } } },
        { name = "culture", steps = { { name = "culture", agent = "historian", input = "What do people say about {{topic}}?", timeout_ms = 60000 } } },
      },
    },
    {
      name = "synthesis",
      agent = "editor",
      input = "Notes on {{topic}}:\n{{step.research.result.nature}}\n{{step.research.result.culture}}\nSummarize.",
      timeout_ms = 60000,
    },
  }),
  error_strategy = ErrorStrategy.cascade({ retry_count = 1, circuit_breaker = { failure_threshold = 5 } }),
})

local result = spell:cast({ topic = topic })

print("biologist  " .. result.outputs.research.nature)
print("historian  " .. result.outputs.research.culture)
print("editor     " .. result.outputs.synthesis)
print("workflow   " .. result.text)

return { success = result.success, status = result.status, report = result.output }
