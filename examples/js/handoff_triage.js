// Handoff triage: one agent reads what a customer writes and hands over to the department that answers.
//   llmspell run examples/js/handoff_triage.js
//   llmspell run examples/js/handoff_triage.js -- --model openai/gpt-4o-mini --message "My kettle stays cold."
//
// The small local model finds a department when the customer names it; a larger one understands any message.

const model = ARGS.model ?? "local/smollm2";

// What a department may say is written down: its answer is held to one of these replies.
function department(name, description, replies) {
  Agent.builder()
    .name(name)
    .description(description)
    .model(model)
    .responseSchema({
      type: "object",
      properties: { reply: { type: "string", enum: replies } },
      required: ["reply"],
      additionalProperties: false,
    })
    .maxConversationLength(0)
    .temperature(0)
    .build();
}

department("refund", "Gives money back.", [
  "You get your money back within three days.",
  "Please tell us the number of your order.",
]);
department("repair", "Repairs broken things.", [
  "Please send it to our workshop. A repair takes a week.",
  "Please describe what is broken.",
]);
department("parcel", "Finds parcels that did not arrive.", [
  "We look for your parcel and write to you tomorrow.",
  "Please tell us your address.",
]);

// It has to hand over; to whom is its own choice. It remembers nothing of the customer before.
const triage = Agent.builder()
  .name("triage")
  .model(model)
  .systemPrompt("You hand the customer over to the right agent.")
  .handoffTargets(["refund", "repair", "parcel"])
  .toolChoice("transfer_to_agent")
  .maxConversationLength(0)
  .temperature(0)
  .build();

const messages = ARGS.message
  ? [ARGS.message]
  : ["I want a refund for my order.", "The toaster needs a repair.", "Where is my parcel?"];

for (const message of messages) {
  const answer = await triage.execute(message);
  console.log(`customer  ${message}`);
  console.log(`answer    ${answer.data.reply}`);
  console.log(`from      ${answer.metadata.handoff_chain[1]}\n`);
}
