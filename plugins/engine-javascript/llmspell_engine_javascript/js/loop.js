// Calls to the host, promises that the host settles, timers, and the runs and callbacks that the host starts.
const pending = create(null); // call id -> {resolve, reject, site}
const MOST_MESSAGE = 10000; // characters; more of it helps nobody
const timers = create(null); // timer id -> {run, every}
let lastTimer = 0;
let scriptName = "script";

// Where the script is: the stack below `entry`, the function of ours that the script called; all of it without one.
function site(entry) {
  if (captureStack === undefined) return stackOf(new ErrorOf());
  const holder = {};
  captureStack(holder, entry);
  return typeof holder.stack === "string" ? holder.stack : "";
}

function callHost(op, args, entry) {
  const where = site(entry);
  try {
    return opened(ask(op, args, where), where);
  } finally {
    lower();
  }
}

// The value in an env. The memory limit is lifted meanwhile: what comes has been weighed.
function opened(text, where) {
  const env = parse(text);
  if (!env.ok) throw hostError(env.error, where);
  const value = env.h ? revive(env.value) : env.value;
  return env.v ? completed(value, env.v) : value;
}

// What an answer says twice has crossed once, and is completed here by reference.
function completed(value, view) {
  if (view.json) value.metadata.response = parse(value.text);
  if (view.flat) flatten(value, value.metadata.response);
  addAll(view.same, (same) => {
    const name = same[0][same[0].length - 1];
    const target = inside(value, same[0], same[0].length - 1);
    if (!hasOwn(target, name)) target[name] = inside(value, same[1], same[1].length);
  });
  return value;
}

function inside(value, path, count) {
  for (let i = 0; i < count; i++) value = value[path[i]];
  return value;
}

function flatten(value, envelope) {
  addAll(keys(envelope), (key) => {
    if (key !== "metadata" && !hasOwn(value, key)) value[key] = envelope[key];
  });
  const problem = value.error;
  if (problem !== null && typeof problem === "object") {
    value.error = problem.message;
    value.error_details = problem;
  }
}

function startHost(op, args, entry) {
  const where = site(entry);
  return waitingPromise(op, (resolve, reject) => {
    const id = bridge("start", op, args, where);
    if (typeof id === "string") reject(hostError(parse(id).error, where)); // it was refused before it left
    else pending[id] = { resolve, reject, site: where };
  });
}

function settle(id, text) {
  const { resolve, reject, site: where } = pending[id];
  delete pending[id];
  let value;
  try {
    value = opened(text, where);
  } catch (error) {
    reject(error ?? NO_MEMORY);
    return;
  }
  resolve(value);
}

// What a promise failed with that nobody listens to; the host has put it there.
function lostFailure() {
  const found = getOwnPropertyDescriptor(globalThis, "$lost");
  delete globalThis.$lost;
  return describe(found?.value);
}

function describe(error) {
  const out = create(null);
  try {
    if (error instanceof ErrorOf) {
      out.name = `${error.name}`;
      out.message = `${error.message}`;
      out.stack = stackOf(error);
      out.cause = weakGet(hostErrors, error);
      out.unfit = weakGet(unfit, error);
      if (typeof error.code === "string") out.code = error.code;
      if (typeof error.hint === "string") out.hint = error.hint;
    } else {
      out.nothing = error === null; // so the VM says that it has no memory left, not even for an error
      out.message = typeof error === "string" ? error : `${inspect(error, 1)} was thrown`;
    }
    if (out.message.length > MOST_MESSAGE) {
      out.message = `${slice(out.message, 0, MOST_MESSAGE)}... (${out.message.length} characters in all)`;
    }
  } catch {
    out.message = "an error was thrown that cannot be shown";
  }
  return stringify(out);
}

// Starts a script or a cell; the host hears of its end through "settled".
function run(text) {
  const request = parse(text);
  lower();
  let started;
  try {
    const source = request.cell ? rewriteCell(request.source, request.line) : request.source;
    started = compile(source, request.line, request.cell ? "$cell" : "")(defineFromCell);
  } catch (error) {
    if (!request.module) {
      bridge("failed", "syntax", describe(error));
      return;
    }
    started = then(import("<main>"), (module) => module.default);
  }
  then(started, (value) => finish(value, request.cell), (error) => bridge("failed", "runtime", describe(error)));
}

function compile(source, line, parameters) {
  return compileBody(`async function(${parameters})`, source, line);
}

// The function with the body `source`. A mistake is one of that text: it knows nothing of the braces around it.
function compileBody(head, source, line) {
  try {
    return indirectEval(`${repeat("\n", line)}(${head}{${source}\n})`);
  } catch (error) {
    throw explained(error, source, line, head);
  }
}

function explained(error, source, line, head) {
  const at = exec(/<input>:(\d+)(?::(\d+))?/, stackOf(error));
  if (!(error instanceof SyntaxErrorOf) || at === null) return error;
  const lines = split(source, "\n");
  const wrong = at[1] - line - 1; // counted from 0
  const before = wrong < lines.length ? textBefore(lines, wrong, at[2]) : source;
  const brace = surplusBrace(before, head);
  if (brace >= 0) return mistake("Unexpected token '}'", line + split(slice(source, 0, brace), "\n").length);
  if (wrong < lines.length) return error;
  let last = lines.length;
  while (last > 1 && matches(/^\s*$/, lines[last - 1])) last--;
  return mistake("unexpected end of input", line + last);
}

function textBefore(lines, count, column) {
  let text = "";
  for (let i = 0; i < count; i++) text += `${lines[i]}\n`;
  return text + (column === undefined ? lines[count] : slice(lines[count], 0, column));
}

// A brace that closes more than was opened closes the function around the text: what stands before it is then whole.
function surplusBrace(text, head) {
  let at = text.length;
  for (let tries = 0; tries < 4; tries++) {
    at = lastIndexOf(text, "}", at - 1);
    if (at < 0) return -1;
    const whole = slice(text, 0, at);
    if (isBody(whole, head) && !isBody(`${whole}@`, head)) return at; // the latter is one inside a comment
    if (at === 0) return -1;
  }
  return -1;
}

function isBody(text, head) {
  try {
    indirectEval(`(${head}{${text}\n})`);
    return true;
  } catch {
    return false;
  }
}

function mistake(message, line) {
  const error = new SyntaxErrorOf(message);
  hide(error, "stack", `    at <input>:${line}\n`);
  return error;
}

function finish(value, cell) {
  try {
    const text = cell ? encodeLoosely(value) : encode(value, "the script's result", false, true);
    const shown = cell && value !== undefined ? stringify(inspect(value)) : "null";
    if (cell && value !== undefined) globalThis._ = value;
    bridge("settled", text, shown);
  } catch (error) {
    bridge("failed", "runtime", describe(error));
  }
}

// A cell may end in anything; what is not plain data is only shown.
function encodeLoosely(value) {
  try {
    return encode(value, "the value", false, true);
  } catch {
    return "null";
  }
}

// Calls a function that crossed as {"$fn": id}. Answers at once if it can, later if the function is asynchronous.
function invoke(invocation, id, text, rich) {
  try {
    const args = decode(parse(text), rich);
    lower();
    const result = ReflectApply(functions[id], undefined, args);
    if (result instanceof PromiseOf) {
      then(result, (value) => answer(invocation, value), (error) => bridge("fail", invocation, describe(error)));
    } else {
      answer(invocation, result);
    }
  } catch (error) {
    bridge("fail", invocation, describe(error));
  }
}

function answer(invocation, value) {
  try {
    bridge("answer", invocation, encode(value, "the callback's result", true));
  } catch (error) {
    bridge("fail", invocation, describe(error));
  }
}

function addTimer(f, delay, args, repeated) {
  if (typeof f !== "function") throw new TypeErrorOf("a timer needs a function");
  const ms = delay >= 1 && delay <= 2147483647 ? +delay : 1;
  const id = ++lastTimer;
  timers[id] = { run: () => ReflectApply(f, undefined, args), every: repeated ? ms : 0 };
  bridge("timer", id, ms);
  return id;
}

function fire(id) {
  const timer = timers[id];
  if (timer === undefined) return;
  lower();
  if (timer.every) bridge("timer", id, timer.every);
  else delete timers[id];
  try {
    timer.run();
  } catch (error) {
    bridge("failed", "runtime", describe(error));
  }
}

function clearTimer(id) {
  if (timers[id] === undefined) return;
  delete timers[id];
  bridge("untimer", id);
}

// After an interrupt: nothing that was under way comes back.
function forget() {
  for (const id in pending) delete pending[id];
  for (const id in timers) delete timers[id];
}

function print(stream, args) {
  bridge("out", stream, stringify(`${format(args)}\n`));
}

function installEnvironment(profile) {
  ErrorOf.stackTraceLimit = 100;
  cleanStacks();
  const out = (...args) => print("stdout", args);
  const err = (...args) => print("stderr", args);
  const exit = (code) => bridge("exit", code === undefined || code === true ? 0 : code === false ? 1 : code | 0);
  const environment = {
    print: out,
    console: { log: out, info: out, debug: out, trace: err, warn: err, error: err, dir: (value) => print("stdout", [value]) },
    setTimeout: (f, delay, ...args) => addTimer(f, delay, args, false),
    setInterval: (f, delay, ...args) => addTimer(f, delay, args, true),
    clearTimeout: clearTimer,
    clearInterval: clearTimer,
    queueMicrotask: (f) => void then(PromiseOf.resolve(), f),
    sleep: (ms) => new PromiseOf((resolve) => addTimer(resolve, ms, [], false)),
    process: { argv: [], exit, stdin },
    os: { exit },
    require: (name) => requireModule(`${name}`),
  };
  if (profile === "high") {
    delete environment.require;
    delete environment.process.stdin;
  }
  const names = keys(environment);
  for (let i = 0; i < names.length; i++) hide(globalThis, names[i], environment[names[i]]);
}

// What is typed or piped into the program, asked for piece by piece.
let inputText = "";
let inputEnded = false;

async function moreInput() {
  if (inputEnded) return false;
  const piece = await startHost("Script.stdin", "[]");
  if (piece === null) inputEnded = true;
  else inputText += piece;
  return !inputEnded;
}

const stdin = {
  async read() {
    while (await moreInput());
    const text = inputText;
    inputText = "";
    return text;
  },
  async readLine() {
    let end = indexOf(inputText, "\n");
    while (end < 0 && (await moreInput())) end = indexOf(inputText, "\n");
    if (inputText === "") return null;
    const line = end < 0 ? inputText : slice(inputText, 0, end);
    inputText = end < 0 ? "" : slice(inputText, end + 1);
    return line;
  },
  [Symbol.asyncIterator]() {
    const next = async () => {
      const line = await stdin.readLine();
      return { value: line ?? undefined, done: line === null };
    };
    return { next };
  },
};

// require("name"): the host finds and checks the file; every module runs once.
const modules = create(null);

function requireModule(name) {
  const found = callHost("Script.module", stringify([name]));
  const cached = modules[found.name];
  if (cached !== undefined) return cached.exports;
  const module = { exports: {}, id: found.name };
  modules[found.name] = module;
  try {
    loadModule(module, found);
  } catch (error) {
    delete modules[found.name];
    throw error;
  }
  return module.exports;
}

function loadModule(module, found) {
  if (matches(/\.json$/, found.name)) {
    module.exports = parse(found.source);
    return;
  }
  const line = bridge("place", stringify([found.name, found.source]));
  const body = compileModule(found.source, line);
  ReflectApply(body, module.exports, [module, module.exports, globalThis.require, found.name]);
}

function compileModule(source, line) {
  try {
    return compileBody("function(module, exports, require, __filename)", source, line);
  } catch (error) {
    hide(error, "stack", replace(stackOf(error), /at (<input>:[\d:]+)/, "at module ($1)") + ownFrames(site()));
    throw error;
  }
}

function setArguments(text) {
  const { name, argv, args } = parse(text);
  scriptName = name;
  globalThis.process.argv = argv;
  hide(globalThis, "ARGS", args);
  hide(globalThis, "Args", args);
  hide(globalThis, "args", args);
}
