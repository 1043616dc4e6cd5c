// An agent as the tool of another agent: a guide answers travellers, and asks a geographer for what it does not know.
//   llmspell run examples/js/agent_as_tool.js
//   llmspell run examples/js/agent_as_tool.js -- --model openai/gpt-4o-mini --question "Where do I meet the king of Spain?"

const model = ARGS.model ?? "local/smollm2";
const question = ARGS.question ?? "What is the capital of France?";

const geographer = Agent.builder()
  .name("geographer")
  .model(model)
  .systemPrompt("You name the capital of a country.")
  .temperature(0)
  .maxTokens(20)
  .build();
geographer.addMessage("user", "Portugal");
geographer.addMessage("assistant", "The capital is Lisbon.");
geographer.addMessage("user", "Germany");
geographer.addMessage("assistant", "The capital is Berlin.");

// The tool has one parameter for each {name} in the template; what it fills in is the geographer's prompt.
const tool = Agent.wrapAsTool("geographer", {
  tool_name: "ask-geographer",
  description: "Names the capital of a country.",
  input_template: "{country}",
});

const guide = Agent.builder()
  .name("guide")
  .model(model)
  .systemPrompt("You answer travellers.")
  .tool(tool)
  .toolChoice(tool) // a small model would not think of asking
  .maxRecursionDepth(2)
  .temperature(0)
  .maxTokens(40)
  .build();

const answer = await guide.execute(question);
console.log(`traveller   ${question}`);
for (const call of answer.tool_calls) {
  console.log(`guide       asks the geographer: ${JSON.stringify(call.parameters)}`);
  console.log(`geographer  ${call.result.success ? call.result.data.result : call.result.error}`);
}
console.log(`guide       ${answer.text}`);
