// Structured extraction: free text goes in, records of one shape come out, and a table is printed.
//   llmspell run examples/js/extract_table.js
//   llmspell run examples/js/extract_table.js -- --model openai/gpt-4o-mini

const model = ARGS.model ?? "local/smollm2";

const messages = [
  "Hello, this is Ada Miller. Please send me 3 blue mugs.",
  "Bob here. I need 12 chairs for the office.",
  "Dear shop, I would like to order one lamp. Yours, Carla",
];

// Every answer is valid against this JSON schema; one that is not is repaired once, or refused.
const order = {
  type: "object",
  properties: {
    customer: { type: "string" },
    item: { type: "string" },
    quantity: { type: "integer", minimum: 1 },
  },
  required: ["customer", "item", "quantity"],
  additionalProperties: false,
};

function clerk() {
  const agent = Agent.builder().model(model).systemPrompt("You read orders and answer with JSON.")
    .responseSchema(order).temperature(0).maxTokens(80).build();
  // Two examples say more to a small model than any instruction.
  agent.addMessage("user", "This is Eve. Send me 2 red pens, please.");
  agent.addMessage("assistant", '{"customer": "Eve", "item": "red pens", "quantity": 2}');
  agent.addMessage("user", "We need 40 folders. Regards, Tom Reed");
  agent.addMessage("assistant", '{"customer": "Tom Reed", "item": "folders", "quantity": 40}');
  return agent;
}

const answers = await Promise.all(messages.map((message) => clerk().execute(message)));
const orders = answers.map((answer) => answer.data);

const row = (customer, quantity, item) => `${customer.padEnd(14)} ${String(quantity).padStart(8)}  ${item}`;
console.log(row("customer", "quantity", "item"));
console.log(row("-".repeat(14), "-".repeat(8), "-".repeat(14)));
for (const o of orders) console.log(row(o.customer, o.quantity, o.item));

return orders;
