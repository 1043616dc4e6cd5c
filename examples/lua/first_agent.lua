-- An agent on the model that runs on this machine, with a calculator in its hand.
--   llmspell run examples/lua/first_agent.lua
--   llmspell run examples/lua/first_agent.lua -- --model openai/gpt-4o-mini

local model = ARGS.model or "local/smollm2"

-- 1. A plain question.
local poet = Agent.builder()
  :name("poet")
  :model(model)
  :system_prompt("You answer in one short sentence.")
  :temperature(0)
  :max_tokens(40)
  :build()

print("question  What is the capital of Italy?")
print("answer    " .. poet:execute({ text = "What is the capital of Italy?" }).text)

-- 2. A question that needs a tool. A small model is not good at choosing tools, so this one is told to call the
--    calculator first; it writes the arguments itself, held to the tool's schema.
local clerk = Agent.builder()
  :name("clerk")
  :model(model)
  :system_prompt("You are a clerk who calculates.")
  :tool("calculator")
  :tool_choice("calculator")
  :temperature(0)
  :max_tokens(60)
  :build()

local reply = clerk:execute({ text = "What is 12 * 34? Evaluate the expression 12 * 34." })
local call = reply.tool_calls[1]
print("tool      " .. call.tool_name .. " " .. JSON.stringify(call.parameters))
print("result    " .. tostring(call.result.success and call.result.data.result.result or call.result.error))
print("answer    " .. reply.text)

return { answer = reply.text, tool = call.tool_name, tokens = reply.metadata.token_count }
