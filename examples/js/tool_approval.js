// An agent that asks before it uses its tool: a function of the script says yes, no, or leaves it open.
//   llmspell run examples/js/tool_approval.js
//   llmspell run examples/js/tool_approval.js -- --decide no
//   llmspell run examples/js/tool_approval.js -- --decide later
//
// After "later" the run is kept, and goes on when somebody decides, in another process, tomorrow or on the phone:
//   llmspell agent pending
//   llmspell agent resume RUN --approve
//
// The tool is a calculator, because the smallest model can use that one. File tools and mail are asked about the same way.

const model = ARGS.model ?? "local/smollm2";
const decide = ARGS.decide ?? "yes";

function onApproval(request) {
  console.log(`asked     may ${request.agent} use ${request.tool} with ${JSON.stringify(request.parameters)}?`);
  console.log(`decided   ${decide}`);
  if (decide === "yes") return true;
  if (decide === "no") return { approved: false, reason: "the calculator is not for today" };
  return null; // nobody knows yet: the run stops here, and is kept
}

const clerk = Agent.builder()
  .name("clerk")
  .model(model)
  .systemPrompt("You are a clerk who calculates.")
  .askTool("calculator") // allowed, but each call is asked about
  .onApproval(onApproval)
  .toolChoice("calculator")
  .temperature(0)
  .maxTokens(60)
  .build();

try {
  const answer = await clerk.execute("What is 12 * 34? Evaluate the expression 12 * 34.");
  const result = answer.tool_calls[0].result;
  console.log(`result    ${result.success ? result.data.result.value : result.error}`);
  console.log(`answer    ${answer.text}`);
} catch (error) {
  const run = error.message.match(/run_\w+/)?.[0];
  if (!run) throw error; // anything else went wrong
  console.log(`waits     ${error.message}`);
  console.log(`next      llmspell agent resume ${run} --approve    (or --deny)`);
}
