-- An agent that asks before it uses its tool: a function of the script says yes, no, or leaves it open.
--   llmspell run examples/lua/tool_approval.lua
--   llmspell run examples/lua/tool_approval.lua -- --decide no
--   llmspell run examples/lua/tool_approval.lua -- --decide later
--
-- After "later" the run is kept, and goes on when somebody decides, in another process, tomorrow or on the phone:
--   llmspell agent pending
--   llmspell agent resume RUN --approve
--
-- The tool is a calculator, because the smallest model can use that one. File tools and mail are asked about the same way.

local model = ARGS.model or "local/smollm2"
local decide = ARGS.decide or "yes"

local function on_approval(request)
  print("asked     may " .. request.agent .. " use " .. request.tool .. " with " .. JSON.stringify(request.parameters) .. "?")
  print("decided   " .. decide)
  if decide == "yes" then
    return true
  elseif decide == "no" then
    return { approved = false, reason = "the calculator is not for today" }
  end
  return nil -- nobody knows yet: the run stops here, and is kept
end

local clerk = Agent.builder()
  :name("clerk")
  :model(model)
  :system_prompt("You are a clerk who calculates.")
  :ask_tool("calculator") -- allowed, but each call is asked about
  :on_approval(on_approval)
  :tool_choice("calculator")
  :temperature(0)
  :max_tokens(60)
  :build()

local ok, answer = pcall(clerk.execute, clerk, "What is 12 * 34? Evaluate the expression 12 * 34.")
if ok then
  local result = answer.tool_calls[1].result
  print("result    " .. tostring(result.success and result.data.result.value or result.error))
  print("answer    " .. answer.text)
else
  local run = answer:match("run_%w+") or error(answer, 0) -- anything else went wrong
  print("waits     " .. answer)
  print("next      llmspell agent resume " .. run .. " --approve    (or --deny)")
end
