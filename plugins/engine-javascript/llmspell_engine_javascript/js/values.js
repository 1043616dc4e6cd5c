// What crosses the border: JSON text only. Everything used here is captured before a script runs, so that a script which
// replaces JSON.stringify or Array.prototype.push harms nobody but itself.
const ReflectApply = Reflect.apply;
const method = (f) => (self, ...args) => ReflectApply(f, self, args);
const {
  create, defineProperty, freeze, getOwnPropertyDescriptor, getOwnPropertyNames, getPrototypeOf, keys,
} = Object;
const { isArray } = Array;
const { isInteger, isSafeInteger } = Number;
const { parse, stringify } = JSON;
const ObjectPrototype = Object.prototype;
const ArrayPrototype = Array.prototype;
const PromiseOf = Promise;
const then = method(Promise.prototype.then);
const startsWith = method(String.prototype.startsWith);
const indexOf = method(String.prototype.indexOf);
const slice = method(String.prototype.slice);
const repeat = method(String.prototype.repeat);
const replace = method(String.prototype.replace);
const split = method(String.prototype.split);
const lastIndexOf = method(String.prototype.lastIndexOf);
const exec = method(RegExp.prototype.exec);
const matches = (pattern, text) => exec(pattern, text) !== null; // `test` would ask a script's own `exec`
const hasOwn = method(Object.prototype.hasOwnProperty);
const weakGet = method(WeakMap.prototype.get);
const weakSet = method(WeakMap.prototype.set);
const mapForEach = method(Map.prototype.forEach);
const setForEach = method(Set.prototype.forEach);
const dateIso = method(Date.prototype.toJSON);
const { isView } = ArrayBuffer;
const ErrorOf = Error;
const stackGetter = getOwnPropertyDescriptor(Error.prototype, "stack")?.get; // newer versions; older ones: an own value
const captureStack = Error.captureStackTrace; // newer versions
const TypeErrorOf = TypeError;
const SyntaxErrorOf = SyntaxError;
const BigIntOf = BigInt;
const indirectEval = globalThis.eval;
const MAX_DEPTH = 64;

// Where there is no memory left even for an error, the VM throws null; scripts get this one, which exists already.
const NO_MEMORY = freeze(new ErrorOf("out of memory"));

const functionIds = new WeakMap(); // function -> id
const functions = create(null); // id -> function
const handleIds = new WeakMap(); // object that a script holds -> {name, id}
const opaque = new WeakMap(); // builders and streams -> "builder", "stream"
const unfit = new WeakMap(); // Error -> what stood in a result although it is no data
const hostErrors = new WeakMap(); // Error -> the error as the host sent it
let lastFunction = 0;
let sawBig = false;
const trail = create(null);
const seen = create(null);

function functionId(f) {
  let id = weakGet(functionIds, f);
  if (id === undefined) {
    id = ++lastFunction;
    weakSet(functionIds, f, id);
    functions[id] = f;
  }
  return id;
}

function whereIs(label, depth) {
  let path = label;
  for (let i = 1; i <= depth; i++) {
    const key = trail[i];
    path += typeof key === "number" ? `[${key}]` : `.${key}`;
  }
  return path;
}

// Thrown deep inside; `copy` turns it into an error whose stack begins near the script.
class Refusal {
  constructor(message, kind) {
    this.message = message;
    this.kind = kind;
  }
}

function refuse(rule, depth, what) {
  throw new Refusal(`${whereIs(rule.label, depth)} ${what}`);
}

// What is no data: `kind` is function, builder, stream, promise, object; a result has a rule and advice of its own for it.
function refuseKind(rule, depth, kind, what, otherwise) {
  if (!rule.result) refuse(rule, depth, otherwise);
  throw new Refusal(`${whereIs(rule.label, depth)} is ${what}; only plain data can be returned`, kind);
}

function copy(value, rule) {
  try {
    return plain(value, rule, 0);
  } catch (error) {
    if (!(error instanceof Refusal)) throw error;
    const failure = misuse(new ErrorOf(error.message));
    weakSet(unfit, failure, error.kind);
    throw failure;
  }
}

// A copy that JSON.stringify writes without running code of the script's. `rule`: {label, functions}, where
// `functions` is true, false, or the list of keys under which functions may be.
function plain(value, rule, depth) {
  switch (typeof value) {
    case "string":
    case "boolean":
    case "undefined":
      return value;
    case "number":
      if (isInteger(value) && !isSafeInteger(value)) sawBig = true;
      return value;
    case "bigint":
      sawBig = true;
      return value;
    case "symbol":
      return refuseKind(rule, depth, "symbol", "a Symbol", "is a Symbol; only plain data can be passed on");
    case "function":
      if (!allowsFunction(rule, depth)) {
        refuseKind(rule, depth, "function", "a function", "is a function; only plain data can be passed on here");
      }
      return plainHandle("$fn", functionId(value));
  }
  return value === null ? null : plainObject(value, rule, depth);
}

function allowsFunction(rule, depth) {
  const allowed = rule.functions;
  if (!isArray(allowed)) return allowed === true;
  for (let i = 0; i < allowed.length; i++) {
    if (allowed[i] === "*") return true;
    for (let at = 1; at <= depth; at++) if (trail[at] === allowed[i]) return true;
  }
  return false;
}

function plainHandle(key, id) {
  const out = create(null);
  out[key] = id;
  return out;
}

function plainObject(value, rule, depth) {
  if (depth >= MAX_DEPTH) refuseDepth(value, rule, depth);
  seen[depth] = value;
  if (isArray(value)) return plainArray(value, rule, depth);
  if (rule.result) checkResult(value, rule, depth);
  const parent = getPrototypeOf(value);
  if ((parent === ObjectPrototype || parent === null) && typeof value.toJSON !== "function") {
    return plainFields(value, rule, depth);
  }
  const handle = weakGet(handleIds, value);
  if (handle !== undefined) {
    if (rule.result) return plainFields(value, rule, depth);
    const out = plainHandle("$handle", handle.name);
    out.id = handle.id;
    return out;
  }
  if (value instanceof PromiseOf) refuseKind(rule, depth, "promise", "a Promise", "is a Promise; await it first");
  const converted = plainSpecial(value, rule, depth);
  return converted === undefined ? plainFields(value, rule, depth) : converted;
}

// A result may hold objects of the host only if they have fields that say something.
function checkResult(value, rule, depth) {
  if (value instanceof PromiseOf) return; // refused below
  const handle = weakGet(handleIds, value);
  if (handle !== undefined) {
    if (keys(value).length === 0) refuseKind(rule, depth, "object", `an object (${handle.name})`);
    return;
  }
  const parent = getPrototypeOf(value);
  const iterates = parent !== ObjectPrototype && parent !== null && typeof value.next === "function";
  const kind = weakGet(opaque, value) ?? (iterates ? "stream" : undefined);
  if (kind !== undefined) refuseKind(rule, depth, kind, `a ${kind}`);
}

function refuseDepth(value, rule, depth) {
  for (let i = 0; i < depth; i++) {
    if (seen[i] === value) refuse(rule, 0, "refers to itself; cyclic values cannot be passed on");
  }
  refuse(rule, 0, `is nested more than ${MAX_DEPTH} levels deep`);
}

function plainArray(value, rule, depth) {
  const out = [];
  for (let i = 0; i < value.length; i++) {
    trail[depth + 1] = i;
    const item = plain(value[i], rule, depth + 1);
    out[i] = item === undefined ? null : item;
  }
  return out;
}

function plainFields(value, rule, depth) {
  const out = create(null);
  const names = keys(value);
  for (let i = 0; i < names.length; i++) {
    const name = names[i];
    trail[depth + 1] = name;
    const item = plain(value[name], rule, depth + 1);
    if (item !== undefined) out[name] = item;
  }
  return out;
}

// Objects whose content is not in their enumerable properties; undefined: an ordinary object.
function plainSpecial(value, rule, depth) {
  if (value instanceof Date) return dateIso(value);
  if (value instanceof Map) {
    const out = create(null);
    mapForEach(value, (item, key) => {
      trail[depth + 1] = `${key}`;
      out[key] = plain(item, rule, depth + 1);
    });
    return out;
  }
  if (value instanceof Set || isTyped(value)) {
    const items = [];
    if (value instanceof Set) setForEach(value, (item) => { items[items.length] = item; });
    else for (let i = 0; i < value.length; i++) items[i] = value[i];
    return plainArray(items, rule, depth);
  }
  if (value instanceof ErrorOf) return plainError(value);
  if (value instanceof String || value instanceof Number || value instanceof Boolean) return value.valueOf();
  if (typeof value.toJSON === "function") return plain(value.toJSON(), rule, depth + 1);
  return undefined;
}

function isTyped(value) {
  return isView(value) && typeof value.length === "number";
}

function plainError(error) {
  const out = create(null);
  out.name = `${error.name}`;
  out.message = `${error.message}`;
  if (typeof error.code === "string") out.code = error.code;
  return out;
}

// A number with more digits than it is exact to must not be read as an integer.
function floatText(value) {
  const text = `${value}`;
  return indexOf(text, "e") < 0 ? `${text}.0` : text;
}

// JSON has integers of any size; JSON.stringify does not know them.
function render(value) {
  if (typeof value === "bigint") return `${value}`;
  if (isInteger(value) && !isSafeInteger(value)) return floatText(value);
  if (value === null || typeof value !== "object") return stringify(value === undefined ? null : value);
  let text = "";
  if (isArray(value)) {
    for (let i = 0; i < value.length; i++) text += (i ? "," : "") + render(value[i]);
    return `[${text}]`;
  }
  const names = keys(value);
  for (let i = 0; i < names.length; i++) text += `${i ? "," : ""}${stringify(names[i])}:${render(value[names[i]])}`;
  return `{${text}}`;
}

function encode(value, label, functions = false, result = false) {
  sawBig = false;
  const data = copy(value, { label, functions, result });
  return data === undefined ? "null" : write(data);
}

// JSON text of what `copy` made. Not by JSON.stringify if that would lose digits or run a script's toJSON; a string
// made of pieces does not cross in every version of the VM, but one that JSON has written does.
function write(data) {
  if (sawBig || hasToJson()) {
    return parse(stringify(render(data)));
  }
  return stringify(data);
}

function hasToJson() {
  return ObjectPrototype.toJSON !== undefined || ArrayPrototype.toJSON !== undefined;
}

// `rich`: somewhere inside there is a {"$handle"}, {"$fn"} or {"$big"}.
function decode(value, rich) {
  return rich ? revive(value) : value;
}

function revive(value) {
  if (value === null || typeof value !== "object") return value;
  if (isArray(value)) {
    for (let i = 0; i < value.length; i++) value[i] = revive(value[i]);
    return value;
  }
  if (hasOwn(value, "$handle") && typeof value.$handle === "string") {
    return makeHandle(value.$handle, value.id, hasOwn(value, "fields") ? value.fields : undefined);
  }
  if (hasOwn(value, "$fn") && typeof value.$fn === "number") return functions[value.$fn] ?? null;
  if (hasOwn(value, "$big") && typeof value.$big === "string" && matches(/^-?\d+$/, value.$big)) return BigIntOf(value.$big);
  const names = keys(value);
  for (let i = 0; i < names.length; i++) {
    defineProperty(value, names[i], { value: revive(value[names[i]]), enumerable: true, writable: true, configurable: true });
  }
  return value;
}

function stackOf(error) {
  const own = getOwnPropertyDescriptor(error, "stack");
  const stack = own ? own.value : weakGet(rawStacks, error) ?? (stackGetter && ReflectApply(stackGetter, error, []));
  return typeof stack === "string" ? stack : "";
}

// A stack without the frames of the bootstrap, which sit on lines of their own.
function ownFrames(stack) {
  return replace(replace(stack, /^.*<input>:20\d{4}\b.*\n?/gm, ""), /\n+$/, "");
}

function hide(object, name, value) {
  defineProperty(object, name, { value, writable: true, configurable: true, enumerable: false });
}
