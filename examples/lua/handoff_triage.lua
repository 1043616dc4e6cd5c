-- Handoff triage: one agent reads what a customer writes and hands over to the department that answers.
--   llmspell run examples/lua/handoff_triage.lua
--   llmspell run examples/lua/handoff_triage.lua -- --model openai/gpt-4o-mini --message "My kettle stays cold."
--
-- The small local model finds a department when the customer names it; a larger one understands any message.

local model = ARGS.model or "local/smollm2"

-- What a department may say is written down: its answer is held to one of these replies.
local function department(name, description, replies)
  Agent.builder()
    :name(name)
    :description(description)
    :model(model)
    :response_schema({
      type = "object",
      properties = { reply = { type = "string", enum = replies } },
      required = { "reply" },
      additionalProperties = false,
    })
    :max_conversation_length(0)
    :temperature(0)
    :build()
end

department("refund", "Gives money back.", {
  "You get your money back within three days.",
  "Please tell us the number of your order.",
})
department("repair", "Repairs broken things.", {
  "Please send it to our workshop. A repair takes a week.",
  "Please describe what is broken.",
})
department("parcel", "Finds parcels that did not arrive.", {
  "We look for your parcel and write to you tomorrow.",
  "Please tell us your address.",
})

-- It has to hand over; to whom is its own choice. It remembers nothing of the customer before.
local triage = Agent.builder()
  :name("triage")
  :model(model)
  :system_prompt("You hand the customer over to the right agent.")
  :handoff_targets({ "refund", "repair", "parcel" })
  :tool_choice("transfer_to_agent")
  :max_conversation_length(0)
  :temperature(0)
  :build()

local messages = { ARGS.message }
if #messages == 0 then
  messages = { "I want a refund for my order.", "The toaster needs a repair.", "Where is my parcel?" }
end

for _, message in ipairs(messages) do
  local answer = triage:execute(message)
  print("customer  " .. message)
  print("answer    " .. answer.data.reply)
  print("from      " .. answer.metadata.handoff_chain[2] .. "\n")
end
