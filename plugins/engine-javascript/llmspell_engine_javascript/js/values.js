// What crosses the border: JSON text only. Everything used here is captured before a script runs, so that a script which
// replaces JSON.stringify or Array.prototype.push harms nobody but itself.
const ReflectApply = Reflect.apply;
const method = (f) => (self, ...args) => ReflectApply(f, self, args);
const {
  create, defineProperty, freeze, getOwnPropertyDescriptor: descriptorOf, getOwnPropertyNames, getPrototypeOf, keys, setPrototypeOf,
} = Object;
const getOwnPropertyDescriptor = (object, name) => {
  const found = descriptorOf(object, name);
  return found && setPrototypeOf(found, null);
};
const { isArray } = Array;
const { trunc } = Math;
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
const toLowerCase = method(String.prototype.toLowerCase);
const trim = method(String.prototype.trim);
const lastIndexOf = method(String.prototype.lastIndexOf);
const exec = method(RegExp.prototype.exec);
const isGlobal = method(getOwnPropertyDescriptor(RegExp.prototype, "global").get);
const matches = (pattern, text) => exec(pattern, text) !== null; // `test` would ask a script's own `exec`

// String.prototype.replace and split would ask methods of the pattern that a script may have changed.
function replace(text, pattern, to) {
  const all = isGlobal(pattern);
  let out = "";
  let at = 0;
  for (let found = exec(pattern, text); found !== null; found = all ? exec(pattern, text) : null) {
    out += slice(text, at, found.index) + (typeof to === "string" ? to : ReflectApply(to, undefined, found));
    at = found.index + found[0].length;
    if (found[0] === "") pattern.lastIndex++;
  }
  return out + slice(text, at);
}

function split(text, by) {
  const parts = [];
  let at = 0;
  for (let end = indexOf(text, by); end >= 0; end = indexOf(text, by, at)) {
    push(parts, slice(text, at, end));
    at = end + by.length;
  }
  push(parts, slice(text, at));
  return parts;
}

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
const MOST_INTEGER = 1n << 14284n; // 4,300 digits: Python reads no more of them

// What web.js needs; it runs after the script has begun.
const ArrayFrom = Array.from.bind(Array);
const MapOf = Map;
const SetOf = Set;
const WeakMapOf = WeakMap;
const bufferSize = getOwnPropertyDescriptor(ArrayBuffer.prototype, "byteLength").get;
const TypedArrayPrototype = getPrototypeOf(Uint8Array.prototype);
const intrinsics = {
  __proto__: null, DOMException: globalThis.DOMException, Uint8Array, RangeError, Date, RegExp, Map, Set, DataView, Boolean, Number, String,
  Object, WeakMap, WeakSet, isView, parseInt, atob: globalThis.atob, fromCodePoint: String.fromCodePoint, JSON: { __proto__: null, parse },
  errors: { __proto__: null, Error, EvalError, RangeError, ReferenceError, SyntaxError, TypeError, URIError },
  newMap: () => new MapOf(), newSet: () => new SetOf(), newWeakMap: () => new WeakMapOf(),
  mapGet: method(Map.prototype.get), mapSet: method(Map.prototype.set), mapHas: method(Map.prototype.has),
  setAdd: method(Set.prototype.add), getTime: method(Date.prototype.getTime), codePointAt: method(String.prototype.codePointAt),
  charCodeAt: method(String.prototype.charCodeAt), normalize: method(String.prototype.normalize), toText: method(Number.prototype.toString),
  fixed: method(Number.prototype.toFixed), sort: method(Array.prototype.sort), from: (list) => ArrayFrom(list), join: method(Array.prototype.join),
  typeOf: method(getOwnPropertyDescriptor(TypedArrayPrototype, Symbol.toStringTag).get),
  setBytes: method(TypedArrayPrototype.set), sliceBytes: method(TypedArrayPrototype.slice), sliceBuffer: method(ArrayBuffer.prototype.slice),
  now: globalThis.performance ? method(performance.now).bind(undefined, performance) : Date.now,
  isBuffer(value) {
    try {
      ReflectApply(bufferSize, value, []);
      return true;
    } catch {
      return false;
    }
  },
};

// Where there is no memory left even for an error, the VM throws null; scripts get this one, which exists already.
const NO_MEMORY = freeze(new ErrorOf("out of memory"));

const functionIds = new WeakMap(); // function -> id
const functions = create(null); // id -> function
const handleIds = new WeakMap(); // object that a script holds -> {name, id}
const opaque = new WeakMap(); // builders and streams -> "builder", "stream"
const unfit = new WeakMap(); // Error -> what stood in a result although it is no data
const hostErrors = new WeakMap(); // Error -> the error as the host sent it
let lastFunction = 0;
// The keys that say what is a function, an object or a big integer end with a mark, so that no data is taken for one.
let FUNCTION, HANDLE, BIG;

function setMark(mark) {
  FUNCTION = `$fn${mark}`;
  HANDLE = `$handle${mark}`;
  BIG = `$big${mark}`;
}

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

// Entries of lists are defined, not assigned: a script may have put setters for numbers on the prototype of lists.
function put(list, index, value) {
  defineProperty(list, index, { __proto__: null, value, writable: true, enumerable: true, configurable: true });
}

function push(list, value) {
  put(list, list.length, value);
}

// An object of ours that inherits nothing: what a script gives Object.prototype is not in it.
function bare(value) {
  if (value === null || typeof value !== "object") return value;
  if (isArray(value)) {
    for (let i = 0; i < value.length; i++) bare(value[i]);
    return value;
  }
  setPrototypeOf(value, null);
  const names = keys(value);
  for (let i = 0; i < names.length; i++) bare(value[names[i]]);
  return value;
}

function copy(value, rule) {
  setPrototypeOf(rule, null);
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
      if (value >= MOST_INTEGER || value <= -MOST_INTEGER) {
        refuse(rule, depth, "is an integer of more than 4,300 digits; pass it on as text");
      }
      sawBig = true;
      return value;
    case "symbol":
      return refuseKind(rule, depth, "symbol", "a Symbol", "is a Symbol; only plain data can be passed on");
    case "function":
      if (!allowsFunction(rule, depth)) {
        refuseKind(rule, depth, "function", "a function", "is a function; only plain data can be passed on here");
      }
      return plainHandle(FUNCTION, functionId(value));
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
    const out = plainHandle(HANDLE, handle.name);
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
    put(out, i, item === undefined ? null : item);
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
    if (value instanceof Set) setForEach(value, (item) => push(items, item));
    else for (let i = 0; i < value.length; i++) push(items, value[i]);
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
  return json(data);
}

// JSON.stringify keeps a list of its own, which is undone by what a script defines for the numbers of all lists.
function json(data) {
  try {
    return stringify(data);
  } catch {
    return parse(stringify(render(data)));
  }
}

function hasToJson() {
  return ObjectPrototype.toJSON !== undefined || ArrayPrototype.toJSON !== undefined;
}

// `rich`: somewhere inside there is a function, an object or a big integer.
function decode(value, rich) {
  return rich ? revive(value) : value;
}

function revive(value) {
  if (value === null || typeof value !== "object") return value;
  if (isArray(value)) {
    for (let i = 0; i < value.length; i++) value[i] = revive(value[i]);
    return value;
  }
  if (hasOwn(value, FUNCTION)) return functions[value[FUNCTION]];
  if (hasOwn(value, HANDLE)) return makeHandle(value[HANDLE], value.id, value.fields);
  if (hasOwn(value, BIG)) return BigIntOf(value[BIG]);
  const names = keys(value);
  for (let i = 0; i < names.length; i++) {
    setOwn(value, names[i], revive(value[names[i]]));
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

// Whatever the name is: `__proto__` is a name like any other in data.
function setOwn(object, name, value) {
  defineProperty(object, name, { __proto__: null, value, enumerable: true, writable: true, configurable: true });
}

function hide(object, name, value) {
  defineProperty(object, name, { __proto__: null, value, writable: true, configurable: true, enumerable: false });
}
