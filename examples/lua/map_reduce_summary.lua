-- Map-reduce summary of a folder: one agent reads each text, several at the same time; another one sums up its notes.
--   llmspell run examples/lua/map_reduce_summary.lua
--   llmspell run examples/lua/map_reduce_summary.lua -- --folder notes --model openai/gpt-4o-mini
--
-- The small local model gets the gist, not the details, and max_tokens cuts it off.

local model = ARGS.model or "local/smollm2"
local folder = ARGS.folder or "examples/texts"

local function agent(name, task)
  return Agent.builder()
    :name(name)
    :model(model)
    :system_prompt(task)
    :temperature(0)
    :max_tokens(60)
    :max_conversation_length(0) -- what it read before does not colour what it reads next
    :build()
end

agent("reader", "You summarize a text in one short sentence.")
agent("editor", "You write one short paragraph from notes.")

local names, texts = {}, {}
local listing = Tool.execute("file-operations", { operation = "list_dir", path = folder })
for _, entry in ipairs(listing.result.entries) do
  if entry.type == "file" then
    names[#names + 1] = entry.name
    texts[#texts + 1] = Tool.execute("file-operations", { operation = "read", path = folder .. "/" .. entry.name }).text
  end
end

local result = Workflow.map_reduce({
  name = "summary",
  items = texts,
  map_step = { agent = "reader", input = "Summarize: {{item}}", timeout_ms = 60000 },
  reduce_step = { agent = "editor", input = "Notes:\n{{map.results}}\nWrite the summary.", timeout_ms = 60000 },
  max_concurrency = 2,
}):execute()

for i, summary in ipairs(result.metadata.extra.map_results) do
  print(("%-16s %s"):format(names[i], summary))
end
print(("%-16s %s"):format("all together", result.output))

return { success = result.success, status = result.status, report = result.output }
