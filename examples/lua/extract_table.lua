-- Structured extraction: free text goes in, records of one shape come out, and a table is printed.
--   llmspell run examples/lua/extract_table.lua
--   llmspell run examples/lua/extract_table.lua -- --model openai/gpt-4o-mini

local model = ARGS.model or "local/smollm2"

local messages = {
  "Hello, this is Ada Miller. Please send me 3 blue mugs.",
  "Bob here. I need 12 chairs for the office.",
  "Dear shop, I would like to order one lamp. Yours, Carla",
}

-- Every answer is valid against this JSON schema; one that is not is repaired once, or refused.
local order = {
  type = "object",
  properties = {
    customer = { type = "string" },
    item = { type = "string" },
    quantity = { type = "integer", minimum = 1 },
  },
  required = { "customer", "item", "quantity" },
  additionalProperties = false,
}

local function clerk()
  local agent = Agent.builder():model(model):system_prompt("You read orders and answer with JSON.")
    :response_schema(order):temperature(0):max_tokens(80):build()
  -- Two examples say more to a small model than any instruction.
  agent:add_message("user", "This is Eve. Send me 2 red pens, please.")
  agent:add_message("assistant", '{"customer": "Eve", "item": "red pens", "quantity": 2}')
  agent:add_message("user", "We need 40 folders. Regards, Tom Reed")
  agent:add_message("assistant", '{"customer": "Tom Reed", "item": "folders", "quantity": 40}')
  return agent
end

local orders = {}
for i, message in ipairs(messages) do
  orders[i] = clerk():execute(message).data
end

local row = "%-14s %8s  %s"
print(row:format("customer", "quantity", "item"))
print(row:format(("-"):rep(14), ("-"):rep(8), ("-"):rep(14)))
for _, o in ipairs(orders) do
  print(row:format(o.customer, o.quantity, o.item))
end

return orders
