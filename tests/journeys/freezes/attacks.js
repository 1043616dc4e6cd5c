// Scripts that want to keep the host. Each begins at a line "/// kind: name" and is a file of its own.
// Most of them would never end; what the host refuses, a script tries again.

/// vm: a loop that catches its end
while (true) try { while (true) {} } catch {} finally { while (true) {} }

/// vm: a regular expression that backtracks
while (true) /(a+)+$/.test("a".repeat(40) + "b");

/// vm: giant texts
while (true) try { "x".repeat(8e6).toUpperCase().split("").reverse().join("y").replaceAll("X", "yy"); } catch {}

/// vm: a comparison without an order
const list = [...Array(200000).keys()];
while (true) list.sort(() => Math.random() - 0.5);

/// vm: a value that is read without an end
const endless = new Proxy({}, {ownKeys() { while (true) {} }, get() { while (true) {} }});
while (true) for (const use of [(x) => JSON.stringify(x), (x) => State.set("x", x), (x) => JSON.query(x, ".")]) try { use(endless); } catch {}

/// vm: a text that is made without an end
while (true) try { console.log({toString() { while (true) {} }, toJSON() { while (true) {} }, get x() { while (true) {} }}); } catch {}

/// vm: source text
while (true) for (const text of ["(".repeat(1e5), "1+".repeat(1e5) + "1", "[".repeat(1e5)]) try { new Function(text); } catch {}

/// vm: generators in generators
function* deep() { yield* deep(); }
while (true) { try { [...deep()]; } catch {} for (const _ of (function* () { for (let i = 0; i < 1e6; i++) yield i; })()); }

/// vm: big integers
while (true) try { let x = 3n; for (;;) x *= x; } catch {}

/// finalizer: collected
const registry = new FinalizationRegistry(() => { while (true) {} });
while (true) { registry.register({}, 1); await null; }

/// finalizer: at the end
new FinalizationRegistry(() => { while (true) {} }).register({}, 1);
setTimeout(() => { while (true) {} }, 0);
setInterval(() => {}, 1);
Promise.resolve().then(() => { while (true) {} });

/// finalizer: closed by an error
while (true) try { try { throw 1; } finally { for (const _ of {[Symbol.iterator]: () => ({next: () => ({}), return() { while (true) {} }})}) break; } } catch {}

/// end: an error that does not become a text
throw {toString() { while (true) {} }, get message() { while (true) {} }, get stack() { while (true) {} }, toJSON() { while (true) {} }};

/// end: a result that does not become a value
return new Proxy([], {get(_, key) { return key === "length" ? 4294967295 : 1; }, has() { return true; }});

/// end: a result that waits
return {then(done) { done({then() { while (true) {} }}); }};

/// wait: a sleep
await Async.sleep(1e9);

/// wait: a promise that does not settle
setInterval(() => {}, 1e9);
await new Promise(() => {});

/// wait: an event that does not come
const id = Event.subscribe("never");
while (true) try { await Event.receive(id, 1e9); } catch {}

/// wait: standard input
while (true) { for await (const line of process.stdin); await Async.sleep(1000); }

/// wait: standard input as a file
while (true) for (const path of ["/dev/stdin", "/dev/tty", "/dev/zero"]) { try { await import(path); } catch {} try { require(path); } catch {} }

/// wait: a file without an end
while (true) for (const [tool, parameters] of [
  ["file-operations", {operation: "read", path: "/dev/zero"}],
  ["hash-calculator", {operation: "hash", input_type: "file", file: "/dev/zero"}],
  ["base64-encoder", {operation: "encode", input_file: "/dev/zero"}],
  ["pdf-processor", {operation: "extract_text", input: "/dev/zero"}],
]) try { await Tool.execute(tool, parameters); } catch {}

/// wait: tasks without a number
while (true) try { await Promise.all([...Array(20000).keys()].map(() => Tool.execute("calculator", {input: "1"}))); } catch {}

/// wait: microtasks
const flood = () => { Promise.resolve().then(flood); Promise.resolve().then(() => {}); };
flood();
await new Promise(() => {});

/// wait: timers
for (let i = 0; i < 20000; i++) try { setInterval(() => { try { setTimeout(() => {}, 0); } catch {} }, 0); } catch {}
while (true) try { await new Promise((done) => setTimeout(done, 0)); } catch {}

/// output: lines
while (true) console.log("x".repeat(100));

/// output: one giant line
while (true) try { console.log("x\n".repeat(4e6)); } catch {}

/// output: the other stream
while (true) console.error("y".repeat(10000));

/// output: the log
while (true) { Debug.error("e".repeat(10000), "m".repeat(10000)); Logger.warn("x"); }

/// output: errors
while (true) { try { throw new Error("e".repeat(1e6)); } catch {} try { await Tool.execute("x".repeat(1e5), {}); } catch {} }

/// output: errors that nobody catches
for (let i = 0; i < 1e5; i++) Promise.reject(new Error("e".repeat(1000) + i));
while (true) await Async.sleep(0);

/// callbacks: a tool that does not return
Tool.create({name: "stuck", description: "x", handler: () => { while (true) {} }});
while (true) try { await Tool.execute("stuck", {}); } catch {}

/// callbacks: a tool that waits
Tool.create({name: "stuck", description: "x", handler: () => new Promise(() => {})});
while (true) try { await Tool.execute("stuck", {}); } catch {}

/// callbacks: a hook that does not return
Hook.register("BeforeToolExecution", () => { while (true) {} });
while (true) try { await Tool.execute("calculator", {input: "1"}); } catch {}

/// callbacks: a hook that sleeps
for (let i = 0; i < 50; i++) Hook.register("BeforeToolExecution", () => new Promise(() => {}));
while (true) try { await Tool.execute("calculator", {input: "1"}); } catch {}

/// callbacks: a hook that calls what it hooks
Hook.register("BeforeToolExecution", async () => { try { await Tool.execute("calculator", {input: "1"}); } catch {} });
while (true) try { await Tool.execute("calculator", {input: "1"}); } catch {}

/// callbacks: many hooks
for (let i = 0; i < 2000; i++) try { Hook.register("BeforeToolExecution", () => true); } catch {}
while (true) try { await Tool.execute("calculator", {input: "1"}); } catch {}

/// callbacks: an event that makes events
Event.subscribe("*", () => { for (let i = 0; i < 100; i++) Event.publish("again", i); });
while (true) Event.publish("first", 1);

/// callbacks: a step that does not return
await Workflow.sequential({name: "w", steps: [{name: "s", type: "function", function: () => { while (true) {} }}]}).execute({});

/// callbacks: a condition that does not return
while (true) try {
  await Workflow.builder().name("l").loop().loop_condition(() => { while (true) {} })
    .add_step({name: "s", tool: "calculator", input: {input: "1"}}).build().execute({});
} catch {}

/// callbacks: a stream that does not end
const stream = Streaming.create(function* () { while (true) yield 1; });
while (true) stream.next();

/// loop: 10^8 tool calls
await Workflow.loop({name: "l", iterator: {range: {start: 1, end: 100000000}},
  body: [{name: "s", tool: "calculator", input: {expression: "1+1"}}]}).execute({});

/// loop: 10^8 conditions
await Workflow.loop({name: "l", iterator: {range: {start: 1, end: 100000000}},
  body: [{name: "s", tool: "calculator", condition: "never", input: {expression: "1"}}]}).execute({});

/// loop: a range without a step
for (const step of [0, -1, 1e-300]) try {
  await Workflow.loop({name: "l", iterator: {range: {start: 0, end: 1e300, step}},
    body: [{name: "s", tool: "calculator", input: {expression: "1"}}]}).execute({});
} catch {}
while (true);

/// loop: while something holds
try {
  await Workflow.loop({name: "l", iterator: {while_condition: "1 == 1"}, max_iterations: 1000000000,
    body: [{name: "s", tool: "calculator", input: {expression: "1"}}]}).execute({});
} catch {}
while (true);

/// loop: 20,000 steps at once
while (true) try {
  const branches = [...Array(20000).keys()].map((i) => ({name: "s" + i, type: "tool", tool: "calculator", input: {expression: "1+1"}}));
  await Workflow.parallel({name: "p", branches, max_concurrency: 20000}).execute({});
} catch {}

/// loop: 20,000 steps in a row
while (true) try {
  const steps = [...Array(20000).keys()].map((i) => ({name: "s" + i, tool: "calculator", input: {expression: `{{s${i - 1}}}`}}));
  await Workflow.sequential({name: "p", steps}).execute({});
} catch {}

/// loop: targets
while (true) try {
  const targets = [...Array(20000).keys()].map((i) => ({name: "t" + i, tool: "calculator", input: {expression: "1"}}));
  await Workflow.fan_out({name: "f", targets, input: "1", join: "all"}).execute({});
} catch {}

/// loop: branches
while (true) try {
  const branches = [...Array(20000).keys()].map((i) => ({name: "b" + i, condition: "x == " + i, steps: [{name: "s", tool: "calculator"}]}));
  await Workflow.conditional({name: "c", branches}).execute({});
} catch {}

/// loop: a map over many items
while (true) try {
  const items = [...Array(300000).keys()];
  await Workflow.map_reduce({name: "m", items, max_concurrency: 100000,
    map_step: {tool: "calculator", input: {expression: "{{current_item}}"}}}).execute({});
} catch {}

/// loop: workflows in workflows
const range = {range: {start: 1, end: 100}};
let inner = Workflow.loop({name: "w0", iterator: range, body: [{name: "s", tool: "calculator", input: {expression: "1"}}]});
for (let i = 1; i < 9; i++) inner = Workflow.loop({name: "w" + i, iterator: range, body: [{name: "s", workflow: inner}]});
while (true) try { await inner.execute({}); } catch {}

/// loop: placeholders
const text = "{{x}}".repeat(2000), x = "y".repeat(100000);
while (true) try {
  await Workflow.sequential({name: "p", steps: [{name: "s", tool: "text-manipulator", input: {operation: "uppercase", input: text}}]}).execute({x});
} catch {}

/// loop: a condition of many parts
while (true) for (const condition of ["not ".repeat(20000) + "x", "1 == 1 and ".repeat(50000) + "x == 1"]) try {
  await Workflow.conditional({name: "c", branches: [{name: "b", condition, steps: [{name: "s", tool: "calculator"}]}]}).execute({x: 2});
} catch {}

/// globals: metrics
for (let i = 0; i < 10000; i++) try { Metrics.increment("m" + i, 1, {a: `${i}`}); } catch {}
for (let i = 0; i < 20000; i++) try { Metrics.histogram("h", i); } catch {}
while (true) { Metrics.snapshot(); Metrics.get("h"); Metrics.list(); }

/// globals: state
while (true) {
  for (let i = 0; i < 1000; i++) try { State.set("k" + i, {list: [1, 2, 3], text: "x".repeat(1000)}); } catch {}
  for (const read of [() => State.all(), () => State.keys(), () => State.list_keys("global")]) try { read(); } catch {}
}

/// globals: configuration
while (true) for (const use of [() => Config.snapshot(), () => Config.get_all(), () => Config.list(),
  () => Config.set("hooks.timeout_ms", 1000000), () => Config.get("a.".repeat(100000))]) try { use(); } catch {}

/// globals: timers
for (let i = 0; i < 100; i++) { const timer = Debug.timer("t" + i); for (let j = 0; j < 100; j++) try { timer.lap("l" + j); } catch {} }
while (true) { Debug.performanceReport(); Debug.jsonReport(); Debug.flameGraph(); Debug.memorySnapshot(); }

/// globals: subscriptions
for (let i = 0; i < 1000; i++) Event.subscribe("**a*".repeat(60) + i);
for (let i = 0; ; i++) Event.publish("a".repeat(240) + i, 1);

/// globals: tools
while (true) {
  for (let i = 0; i < 1000; i++) try { Tool.create({name: "t" + i, description: "word ".repeat(1000), handler: () => 1}); } catch {}
  Tool.list(); Tool.discover({tag: "word"}); Tool.categories();
}

/// globals: agents
while (true) {
  for (let i = 0; i < 200; i++) try { await Agent.create({name: "a" + i, model: "none/none", system_prompt: "x".repeat(10000)}); } catch {}
  try { Agent.list(); Agent.discover_by_capability("x"); await Agent.create_composite("c", Agent.list_instances()); } catch {}
  let context = Agent.create_context({});
  for (let i = 0; i < 200; i++) { context = Agent.create_child_context(context, "global", "inherit"); Agent.get_context_data(context, "x"); }
}

/// globals: workflows
while (true) {
  for (let i = 0; i < 1000; i++) try { Workflow.register("sequential", {name: "w" + i, steps: [{name: "s", tool: "calculator"}]}); } catch {}
  for (const use of [() => Workflow.list(), () => Template.list(), () => Template.search("x".repeat(100000)), () => Provider.list()]) try { use(); } catch {}
}

/// pattern: a regex of the verbose mode
try { Debug.addAdvancedFilter("(?x)(a|a|aa) # a comment\n* (a|aa)* b", "regex", true); } catch {}
for (let i = 0; i < 50; i++) try { Debug.addAdvancedFilter("(x|y|.){1,20}z" + i, "regex", true); } catch {}
for (let i = 0; ; i++) Debug.warn("message", "a".repeat(5000) + i);

/// pattern: a giant wildcard
for (let i = 0; i < 100; i++) try { Debug.addModuleFilter("*a?".repeat(60) + i, true); } catch {}
for (let i = 0; ; i++) Debug.warn("message", "a".repeat(100000) + i);

/// pattern: a schema
while (true) try {
  await Tool.execute("json-processor", {operation: "validate", input: "a".repeat(40) + "!", schema: {type: "string", pattern: "^(a+)+$"}});
} catch {}

/// query: add over 90,000 tables
const list = [...Array(90000).keys()].map((i) => ({["k" + i]: i}));
while (true) try { JSON.query(list, "add"); } catch {}

/// query: a chain
const items = [...Array(20000).keys()];
while (true) try { JSON.query(items, "map(.)|".repeat(900) + "length"); } catch {}

/// query: a deep expression
let value = 1;
for (let i = 0; i < 200; i++) value = {a: value};
while (true) for (const text of [".a|".repeat(100000) + ".", "map(".repeat(50000)]) try { JSON.query(value, text); } catch {}

/// library: a jq program
while (true) for (const query of ["[range(1e12)] | add", "def f: f; f", "last(repeat(1))", "\"a\" * 1000000000 | length",
  "(\"a\" * 40 + \"b\") | test(\"(a+)+$\")", "[limit(100000000; repeat(\"x\"))] | join(\"y\")"])
  try { await Tool.execute("json-processor", {operation: "query", input: {a: 1}, query}); } catch {}

/// library: powers
while (true) for (const input of ["9^9^9^9", "2^(10^9)", "factorial(100000)", "(".repeat(100000), "1+".repeat(100000) + "1",
  "-".repeat(50000) + "1", "9".repeat(100000) + "^9", "1e308^1e308", "((9^99)^99)^99 % 7"])
  for (const operation of ["evaluate", "validate"]) try { await Tool.execute("calculator", {operation, input}); } catch {}

/// library: dates
while (true) for (const parameters of [
  {operation: "now", format: "%999999999Y".repeat(50)},
  {operation: "now", format: `%${"9".repeat(900)}Y`},
  {operation: "add", input: "2024-01-01", amount: 9e15, unit: "years"},
  {operation: "parse", input: "1-".repeat(1000000)},
]) try { await Tool.execute("datetime-handler", parameters); } catch {}

/// library: text
const text = "aB c\n".repeat(600000);
while (true) for (const operation of ["snake_case", "word_wrap", "sanitize", "normalize_whitespace", "dedent", "indent", "split", "replace"])
  try {
    await Tool.execute("text-manipulator", {operation, input: text,
      options: {from: "a", to: "b".repeat(100000), delimiter: "a", width: 1, spaces: 1000000}});
  } catch {}

/// library: bytes
const text = "x".repeat(8e6);
while (true) for (const [tool, parameters] of [
  ["hash-calculator", {operation: "hash", algorithm: "sha512", input_type: "string", input: text}],
  ["base64-encoder", {operation: "encode", input: text}],
  ["base64-encoder", {operation: "decode", input: text}],
  ["uuid-generator", {operation: "deterministic", name: text}],
]) try { await Tool.execute(tool, parameters); } catch {}

/// library: folders
while (true) for (const [tool, parameters] of [
  ["file-operations", {operation: "list_dir", path: "/", recursive: true}],
  ["file-operations", {operation: "list_dir", path: "/proc", recursive: true}],
]) try { await Tool.execute(tool, parameters); } catch {}
