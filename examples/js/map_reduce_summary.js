// Summarizes many texts: one agent reads each of them, several at the same time; another puts the summaries together.
//   llmspell run examples/js/map_reduce_summary.js
//   llmspell run examples/js/map_reduce_summary.js -- --folder notes --model openai/gpt-4o-mini

const model = ARGS.model ?? "local/smollm2";

function agent(name, task) {
  return Agent.builder().name(name).model(model).systemPrompt(task).temperature(0).maxTokens(40).build();
}

agent("reader", "You summarize a text in one short sentence.");
agent("editor", "You write one short paragraph from notes.");

// The texts: the files of a folder, or these.
let texts = [
  "Barn owls hunt at night. Their feathers make almost no sound.",
  "Snowy owls live in the Arctic. They are active by day, too.",
  "Little owls nest in old trees and hunt insects from a fence post.",
];
if (ARGS.folder) {
  const listing = await Tool.execute("file-operations", { operation: "list_dir", path: ARGS.folder });
  const files = listing.result.entries.filter((entry) => entry.type === "file");
  texts = await Promise.all(
    files.map(async (entry) => (await Tool.execute("file-operations", { operation: "read", path: `${ARGS.folder}/${entry.name}` })).text),
  );
}

const result = await Workflow.mapReduce({
  name: "summary",
  items: texts,
  map_step: { agent: "reader", input: "{{item}}\nSummarize this text.", timeout_ms: 60000 },
  reduce_step: { agent: "editor", input: "Notes:\n{{map.results}}\nWrite the summary.", timeout_ms: 60000 },
  max_concurrency: 2,
  on_item_error: "skip",
}).execute();

result.metadata.extra.map_results.forEach((summary, i) => console.log(`${i + 1}  ${summary}`));
console.log("summary  " + result.output);

return { success: result.success, status: result.status, report: result.output };
