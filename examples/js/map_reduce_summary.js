// Map-reduce summary of a folder: one agent reads each text, several at the same time; another one sums up its notes.
//   llmspell run examples/js/map_reduce_summary.js
//   llmspell run examples/js/map_reduce_summary.js -- --folder notes --model openai/gpt-4o-mini
//
// The small local model gets the gist, not the details, and max_tokens cuts it off.

const model = ARGS.model ?? "local/smollm2";
const folder = ARGS.folder ?? "examples/texts";

function agent(name, task) {
  return Agent.builder()
    .name(name)
    .model(model)
    .systemPrompt(task)
    .temperature(0)
    .maxTokens(60)
    .maxConversationLength(0) // what it read before does not colour what it reads next
    .build();
}

agent("reader", "You summarize a text in one short sentence.");
agent("editor", "You write one short paragraph from notes.");

const listing = await Tool.execute("file-operations", { operation: "list_dir", path: folder });
const names = listing.result.entries.filter((entry) => entry.type === "file").map((entry) => entry.name);
const texts = await Promise.all(
  names.map(async (name) => (await Tool.execute("file-operations", { operation: "read", path: `${folder}/${name}` })).text),
);

const result = await Workflow.mapReduce({
  name: "summary",
  items: texts,
  map_step: { agent: "reader", input: "Summarize: {{item}}", timeout_ms: 60000 },
  reduce_step: { agent: "editor", input: "Notes:\n{{map.results}}\nWrite the summary.", timeout_ms: 60000 },
  max_concurrency: 2,
}).execute();

result.metadata.extra.map_results.forEach((summary, i) => console.log(names[i].padEnd(16), summary));
console.log("all together".padEnd(16), result.output);

return { success: result.success, status: result.status, report: result.output };
