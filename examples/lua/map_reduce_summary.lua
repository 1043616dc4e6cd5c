-- Summarizes many texts: one agent reads each of them, several at the same time; another puts the summaries together.
--   llmspell run examples/lua/map_reduce_summary.lua
--   llmspell run examples/lua/map_reduce_summary.lua -- --folder notes --model openai/gpt-4o-mini

local model = ARGS.model or "local/smollm2"

local function agent(name, task)
  return Agent.builder():name(name):model(model):system_prompt(task):temperature(0):max_tokens(40):build()
end

agent("reader", "You summarize a text in one short sentence.")
agent("editor", "You write one short paragraph from notes.")

-- The texts: the files of a folder, or these.
local texts = {
  "Barn owls hunt at night. Their feathers make almost no sound.",
  "Snowy owls live in the Arctic. They are active by day, too.",
  "Little owls nest in old trees and hunt insects from a fence post.",
}
if ARGS.folder then
  texts = {}
  local listing = Tool.execute("file-operations", { operation = "list_dir", path = ARGS.folder })
  for _, entry in ipairs(listing.result.entries) do
    if entry.type == "file" then
      texts[#texts + 1] = Tool.execute("file-operations", { operation = "read", path = ARGS.folder .. "/" .. entry.name }).text
    end
  end
end

local result = Workflow.map_reduce({
  name = "summary",
  items = texts,
  map_step = { agent = "reader", input = "{{item}}\nSummarize this text.", timeout_ms = 60000 },
  reduce_step = { agent = "editor", input = "Notes:\n{{map.results}}\nWrite the summary.", timeout_ms = 60000 },
  max_concurrency = 2,
  on_item_error = "skip",
}):execute()

for i, summary in ipairs(result.metadata.extra.map_results) do
  print(i .. "  " .. summary)
end
print("summary  " .. result.output)

return { success = result.success, status = result.status, report = result.output }
