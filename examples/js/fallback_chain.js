// A chain of models: the first one that can answer does, and the answer says which one that was.
//   llmspell run examples/js/fallback_chain.js
//   llmspell run examples/js/fallback_chain.js -- --models "openai/gpt-4o-mini, anthropic/claude-haiku-4-5, local/smollm2"
//
// The first model here is one of LM Studio on port 1234. Without that program its server is down, a warning says so,
// and the local model answers. Each provider's own retries and limits come first; see docs/how-to/fallback.md.

const models = ARGS.models ?? "lmstudio/any-model, local/smollm2";

const agent = Agent.builder()
  .name("poet")
  .model(models)
  .systemPrompt("You answer in one short sentence.")
  .temperature(0)
  .maxTokens(60)
  .build();

console.log(`models       ${models}`);
for (const question of ["What is the capital of Italy?", "What is the capital of Japan?"]) {
  console.log(`question     ${question}`);
  try {
    const answer = await agent.execute(question);
    console.log(`answer       ${answer.text}`);
    console.log(`answered by  ${answer.metadata.model}`);
  } catch (error) {
    console.log(`nobody       ${error.message}`);
  }
}
