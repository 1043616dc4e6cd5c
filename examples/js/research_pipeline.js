// A research pipeline: two agents look at a topic at the same time, a third one writes the report.
//   llmspell run examples/js/research_pipeline.js
//   llmspell run examples/js/research_pipeline.js -- --model openai/gpt-4o-mini --topic "tidal power"
//
// The small local model makes up facts and does not come to an end by itself: max_tokens cuts it off.

const model = ARGS.model ?? "local/smollm2";
const topic = ARGS.topic ?? "owls";

function agent(name, task) {
  return Agent.builder().name(name).model(model).systemPrompt(task).temperature(0).maxTokens(80).build();
}

agent("biologist", "You state one fact in one short sentence.");
agent("historian", "You state one fact in one short sentence.");
agent("editor", "You write one short sentence from notes.");

const spell = Spell.create({
  name: "research",
  workflow: Workflow.sequential([
    {
      name: "research",
      type: "parallel",
      branches: [
        { name: "nature", steps: [{ name: "nature", agent: "biologist", input: "What is special about {{topic}}?", timeout_ms: 60000 }] },
        { name: "culture", steps: [{ name: "culture", agent: "historian", input: "What do people say about {{topic}}?", timeout_ms: 60000 }] },
      ],
    },
    {
      name: "synthesis",
      agent: "editor",
      input: "Notes on {{topic}}:\n{{step.research.result.nature}}\n{{step.research.result.culture}}\nSummarize.",
      timeout_ms: 60000,
    },
  ]),
  error_strategy: ErrorStrategy.cascade({ retry_count: 1, circuit_breaker: { failure_threshold: 5 } }),
});

const result = await spell.cast({ topic });

console.log("biologist  " + result.outputs.research.nature);
console.log("historian  " + result.outputs.research.culture);
console.log("editor     " + result.outputs.synthesis);
console.log("workflow   " + result.text);

return { success: result.success, status: result.status, report: result.output };
