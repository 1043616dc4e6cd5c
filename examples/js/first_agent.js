// An agent on the model that runs on this machine, with a calculator in its hand.
//   llmspell run examples/js/first_agent.js
//   llmspell run examples/js/first_agent.js -- --model openai/gpt-4o-mini

const model = ARGS.model ?? "local/smollm2";

// 1. A plain question.
const poet = Agent.builder()
  .name("poet")
  .model(model)
  .systemPrompt("You answer in one short sentence.")
  .temperature(0)
  .maxTokens(40)
  .build();

console.log("question  What is the capital of Italy?");
console.log("answer    " + (await poet.execute({ text: "What is the capital of Italy?" })).text);

// 2. A question that needs a tool. A small model is not good at choosing tools, so this one is told to call the
//    calculator first; it writes the arguments itself, held to the tool's schema.
const clerk = Agent.builder()
  .name("clerk")
  .model(model)
  .systemPrompt("You are a clerk who calculates.")
  .tool("calculator")
  .toolChoice("calculator")
  .temperature(0)
  .maxTokens(60)
  .build();

const reply = await clerk.execute({ text: "What is 12 * 34? Evaluate the expression 12 * 34." });
const call = reply.tool_calls[0];
console.log("tool      " + call.tool_name + " " + JSON.stringify(call.parameters));
console.log("result    " + (call.result.success ? call.result.data.result.result : call.result.error));
console.log("answer    " + reply.text);

return { answer: reply.text, tool: call.tool_name, tokens: reply.metadata.token_count };
