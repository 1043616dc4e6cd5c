-- An agent as the tool of another agent: a guide answers travellers, and asks a geographer for what it does not know.
--   llmspell run examples/lua/agent_as_tool.lua
--   llmspell run examples/lua/agent_as_tool.lua -- --model openai/gpt-4o-mini --question "Where do I meet the king of Spain?"

local model = ARGS.model or "local/smollm2"
local question = ARGS.question or "What is the capital of France?"

local geographer = Agent.builder()
  :name("geographer")
  :model(model)
  :system_prompt("You name the capital of a country.")
  :temperature(0)
  :max_tokens(20)
  :build()
geographer:add_message("user", "Portugal")
geographer:add_message("assistant", "The capital is Lisbon.")
geographer:add_message("user", "Germany")
geographer:add_message("assistant", "The capital is Berlin.")

-- The tool has one parameter for each {name} in the template; what it fills in is the geographer's prompt.
local tool = Agent.wrap_as_tool("geographer", {
  tool_name = "ask-geographer",
  description = "Names the capital of a country.",
  input_template = "{country}",
})

local guide = Agent.builder()
  :name("guide")
  :model(model)
  :system_prompt("You answer travellers.")
  :tool(tool)
  :tool_choice(tool) -- a small model would not think of asking
  :max_recursion_depth(2)
  :temperature(0)
  :max_tokens(40)
  :build()

local answer = guide:execute(question)
print("traveller   " .. question)
for _, call in ipairs(answer.tool_calls) do
  print("guide       asks the geographer: " .. JSON.stringify(call.parameters))
  print("geographer  " .. (call.result.success and call.result.data.result or call.result.error))
end
print("guide       " .. answer.text)
