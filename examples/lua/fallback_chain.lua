-- A chain of models: the first one that can answer does, and the answer says which one that was.
--   llmspell run examples/lua/fallback_chain.lua
--   llmspell run examples/lua/fallback_chain.lua -- --models "openai/gpt-4o-mini, anthropic/claude-haiku-4-5, local/smollm2"
--
-- The first model here is one of LM Studio on port 1234. Without that program its server is down, a warning says so,
-- and the local model answers. Each provider's own retries and limits come first; see docs/how-to/fallback.md.

local models = ARGS.models or "lmstudio/any-model, local/smollm2"

local agent = Agent.builder()
  :name("poet")
  :model(models)
  :system_prompt("You answer in one short sentence.")
  :temperature(0)
  :max_tokens(60)
  :build()

print("models       " .. models)
for _, question in ipairs({ "What is the capital of Italy?", "What is the capital of Japan?" }) do
  local ok, answer = pcall(agent.execute, agent, question)
  print("question     " .. question)
  if ok then
    print("answer       " .. answer.text)
    print("answered by  " .. answer.metadata.model)
  else
    print("nobody       " .. answer)
  end
end
