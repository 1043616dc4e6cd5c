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
  const value = hasOwn(env, "h") ? revive(env.value) : env.value;
  return hasOwn(env, "v") ? completed(value, bare(env.v)) : value;
}

// What an answer says twice has crossed once, and is completed here by reference.
function completed(value, view) {
  if (view.json) value.metadata.response = parse(value.text);
  if (view.flat) flatten(value, value.metadata.response);
  addAll(view.same, (same) => {
    const name = same[0][same[0].length - 1];
    const target = inside(value, same[0], same[0].length - 1);
    if (!hasOwn(target, name)) setOwn(target, name, inside(value, same[1], same[1].length));
  });
  return value;
}

function inside(value, path, count) {
  for (let i = 0; i < count; i++) value = value[path[i]];
  return value;
}

function flatten(value, envelope) {
  addAll(keys(envelope), (key) => {
    if (key !== "metadata" && !hasOwn(value, key)) setOwn(value, key, envelope[key]);
  });
  const problem = value.error;
  if (problem !== null && typeof problem === "object") {
    value.error = problem.message;
    value.error_details = problem;
  }
}

function startHost(op, args, entry, where = site(entry)) {
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
  return json(out);
}

// Starts a script, a cell or the code of `exec`; the host hears of its end through "settled".
function run(text) {
  const request = parse(text);
  const isCell = request.mode === "cell";
  lower();
  let started, ending = isCell ? finishCell : finish;
  let module = false;
  try {
    let source = isCell ? rewriteCell(request.source, request.line) : request.source;
    const expression = request.mode === "code" ? expressionOf(source) : undefined;
    if (expression !== undefined) {
      source = expression;
      ending = finishExpression;
    }
    const body = compile(source, request.line, isCell ? "$cell" : "");
    started = isCell ? body(defineFromCell) : body();
  } catch (error) {
    if (!request.module) {
      bridge("failed", "syntax", describe(error));
      return;
    }
    module = true;
    started = import("<main>");
  }
  // Nobody else knows this promise: whatever a script did to promises, it is awaited as one.
  hide(started, "constructor", PromiseOf);
  // A module exports functions for others: they are not its result.
  const result = (value) => (module && typeof value.default === "function" ? undefined : module ? value.default : value);
  follow(started, (value) => ending(result(value)), (error) => bridge("failed", "runtime", describe(error)));
}

// Like `then`, which would ask the script's own species and constructor for the promise that it makes.
async function follow(promise, done, failed) {
  let value;
  try {
    value = await promise;
  } catch (error) {
    failed(error);
    return;
  }
  done(value);
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
  placeStack(error, `    at <input>:${line}\n`);
  return error;
}

function finish(value) {
  handOver(() => encode(value, "the script's result", false, true), () => undefined);
}

function finishCell(value) {
  handOver(() => encodeLoosely(value), () => {
    if (value === undefined) return undefined;
    const shown = inspect(value);
    globalThis._ = value;
    return shown;
  });
}

// Of an expression that is no plain data there is only how it looks.
function finishExpression(value) {
  const text = encodeLoosely(value);
  const isNothing = value === null || value === undefined;
  handOver(() => text, () => text !== "null" || isNothing ? undefined : inspect(value));
}

function handOver(toValue, toShown) {
  try {
    const value = toValue();
    const shown = toShown();
    bridge("settled", value, shown === undefined ? "null" : stringify(shown));
  } catch (error) {
    bridge("failed", "runtime", describe(error));
  }
}

// What may end in anything: what is not plain data is only shown.
function encodeLoosely(value) {
  try {
    return encode(value, "the value", false, true);
  } catch {
    return "null";
  }
}

// Calls a function that crossed as its id. Answers at once if it can, later if the function is asynchronous.
function invoke(invocation, id, text, rich) {
  try {
    const args = decode(parse(text), rich);
    lower();
    const result = ReflectApply(functions[id], undefined, args);
    if (result instanceof PromiseOf) {
      follow(result, (value) => answer(invocation, value), (error) => bridge("fail", invocation, describe(error)));
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

// What is no code would become 0, which is success.
function exitCode(code) {
  if (code === undefined || code === null || code === true) return 0;
  if (code === false) return 1;
  const number = typeof code === "string" && code !== "" ? +code : code;
  if (typeof number !== "number" || number !== (number | 0)) throw new TypeErrorOf("exit: the code must be a whole number");
  return number;
}

const longestDelay = 2147483647;

function addTimer(f, delay, args, repeated) {
  if (typeof f !== "function") throw new TypeErrorOf("a timer needs a function");
  const ms = delay >= 1 && delay <= longestDelay ? +delay : 1;
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

let indent = ""; // of console.group

function indentBy(change) {
  indent = change > 0 ? `${indent}  ` : slice(indent, 2);
}

function print(stream, args) {
  const text = format(args);
  bridge("out", stream, stringify(`${indent === "" ? text : indent + replace(text, /\n/g, () => `\n${indent}`)}\n`));
}

function installEnvironment(profile) {
  ErrorOf.stackTraceLimit = 100;
  cleanStacks();
  const out = (...args) => print("stdout", args);
  const err = (...args) => print("stderr", args);
  const exit = (code) => bridge("exit", exitCode(code));
  const environment = {
    __proto__: null,
    print: out,
    console: { log: out, info: out, debug: out, warn: err, error: err, dir: (value) => print("stdout", [value]) },
    setTimeout(f, delay, ...args) { return addTimer(f, delay, args, false); },
    setInterval(f, delay, ...args) { return addTimer(f, delay, args, true); },
    clearTimeout(id) { clearTimer(id); },
    clearInterval(id) { clearTimer(id); },
    queueMicrotask(f) {
      if (typeof f !== "function") throw new TypeErrorOf("not a function");
      runSoon(f);
    },
    sleep: (ms) => new PromiseOf((resolve) => addTimer(resolve, ms > longestDelay ? longestDelay : ms, [], false)),
    process: {
      argv: [], exit, stdin, stdout: sink("stdout"), stderr: sink("stderr"),
      nextTick(f, ...args) { runSoon(() => ReflectApply(f, undefined, args)); },
    },
    os: { exit },
  };
  if (profile === "high") delete environment.process.stdin;
  else environment.require = makeRequire(null);
  const names = keys(environment);
  for (let i = 0; i < names.length; i++) hide(globalThis, names[i], environment[names[i]]);
  installEnv(environment.process, profile);
  installWeb(environment.console, profile);
}

async function runSoon(f) {
  await undefined;
  f();
}

function sink(stream) {
  return {
    write(text) {
      bridge("out", stream, stringify(`${text}`));
      return true;
    },
    isTTY: false,
  };
}

// `process.env` holds what the policy lets scripts see; it is asked for when it is first used.
function installEnv(process, profile) {
  let env;
  defineProperty(process, "env", {
    __proto__: null, enumerable: true, configurable: true,
    get: () => (env ??= profile === "high" ? {} : callHost("Script.environment", "[]")),
    set: (value) => { env = value; },
  });
}

// What the language itself lacks and other places have, made when it is first used (web.js).
const WEB = [ // no Event: that is a global of llmspell
  "URL", "URLSearchParams", "TextEncoder", "TextDecoder", "EventTarget", "AbortController", "AbortSignal",
  "structuredClone", "crypto", "Headers", "Request", "Response", "fetch",
];
const CONSOLE = ["table", "time", "timeEnd", "timeLog", "group", "groupCollapsed", "groupEnd", "assert", "count", "countReset", "trace"];
let web;

function installWeb(console, profile) {
  const library = () => (web ??= loadWeb(profile));
  for (let i = 0; i < WEB.length; i++) {
    const name = WEB[i];
    if (profile === "high" && (name === "fetch" || name === "Request")) continue;
    if (getOwnPropertyDescriptor(globalThis, name) === undefined) defineLazily(globalThis, name, () => library()[name]);
  }
  for (let i = 0; i < CONSOLE.length; i++) {
    const name = CONSOLE[i];
    defineLazily(console, name, () => library().console[name], true);
  }
}

function loadWeb() {
  const source = `${repeat("\n", WEB_LINE)}(function(K){"use strict";${bridge("web")}\n})`;
  return indirectEval(source)({
    __proto__: null, intrinsics, ReflectApply, method, create, defineProperty, getOwnPropertyDescriptor, getPrototypeOf, keys,
    isArray, stringify, startsWith, indexOf, lastIndexOf, slice, repeat, replace, split, exec, matches, hasOwn, weakGet, weakSet,
    mapForEach, setForEach, ErrorOf, TypeErrorOf, PromiseOf, push, put, hide, inspect, format, print, indentBy, bridge, startHost,
    follow, hostErrors, handleIds, opaque, scriptFrames, addTimer, clearTimer, trim, toLowerCase, trunc, tag, texts, json,
  });
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
let mainModule;

// The `require` of one module (null: of the script itself), which knows from where a name is meant.
function makeRequire(base) {
  const require = (name) => requireModule(`${name}`, base);
  hide(require, "name", "require");
  defineProperty(require, "main", { __proto__: null, get: () => mainModule, enumerable: true, configurable: true });
  return require;
}

function requireModule(name, base) {
  const found = callHost("Script.module", json([name, base]));
  if (found.main && mainModule) return mainModule.exports;
  const cached = modules[found.name];
  if (cached !== undefined) return cached.exports;
  const module = { exports: {}, id: found.name, filename: found.name };
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
  const source = startsWith(found.source, "#!") ? `//${found.source}` : found.source;
  const line = bridge("place", json([found.name, source]));
  const body = compileModule(source, line);
  const folder = slice(found.name, 0, lastIndexOf(found.name, "/"));
  ReflectApply(body, module.exports, [module, module.exports, makeRequire(found.name), found.name, folder]);
}

// `module` and `exports` of a script that is no ES module. Not its parameters: it may declare these names.
function installMain(name) {
  mainModule = { exports: {}, id: ".", filename: name };
  hide(globalThis, "module", mainModule);
  hide(globalThis, "exports", mainModule.exports);
}

function compileModule(source, line) {
  try {
    return compileBody("function(module, exports, require, __filename, __dirname)", source, line);
  } catch (error) {
    placeStack(error, replace(stackOf(error), /at (<input>:[\d:]+)/, (_, place) => `at module (${place})`) + ownFrames(site()));
    throw error;
  }
}

function setArguments(text) {
  const { name, argv, args, module } = parse(text);
  scriptName = name;
  if (!module) installMain(name);
  globalThis.process.argv = argv;
  hide(globalThis, "ARGS", args);
  hide(globalThis, "Args", args);
  hide(globalThis, "args", args);
}
