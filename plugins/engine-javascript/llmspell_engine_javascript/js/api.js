// The script globals, built from the manifest when a script first touches them.
let handleKinds = create(null); // name -> description
const handlePrototypes = create(null);
const SOURCES_LINE = 205000; // among the lines of the bootstrap, which no stack shows
const WEB_LINE = 207000;
const builderFields = new WeakMap();
const builderPaths = new WeakMap(); // for inspect

function install(manifest) {
  handleKinds = manifest.handles;
  for (let i = 0; i < manifest.globals.length; i++) {
    const description = manifest.globals[i];
    if (description.hidden) continue;
    let built;
    const get = () => (built ??= buildGlobal(bare(description), globalThis[description.name]));
    const names = [description.name, ...description.aliases];
    if (getOwnPropertyDescriptor(globalThis, description.name)) get(); // the language's own, such as JSON: completed
    else for (let n = 0; n < names.length; n++) defineLazily(globalThis, names[n], () => (built ??= buildGlobal(bare(description))));
  }
}

function defineLazily(object, name, get, enumerable = false) {
  const set = (value) => defineProperty(object, name, { __proto__: null, value, writable: true, configurable: true, enumerable });
  defineProperty(object, name, {
    __proto__: null,
    configurable: true,
    enumerable,
    get() {
      const value = get();
      try { set(value); } catch {} // a script may have frozen its globals
      return value;
    },
    set,
  });
}

function buildGlobal(description, existing) {
  const G = existing ?? {};
  const add = (name, value) => {
    if (getOwnPropertyDescriptor(G, name) !== undefined) return;
    if (existing) hide(G, name, value); // the language's own members are not enumerable either
    else put(G, name, value);
  };
  addAll(description.functions, (f) => f.vm || addFunction(add, f));
  addAll(description.builders, (b) => addAll(b.names, (name) => add(name, makeBuilderFunction(b, name))));
  addAll(description.subglobals, (sub) => add(sub.name, buildGlobal(sub)));
  addAll(keys(description.constants), (name) => add(name, revive(parse(json(description.constants[name])))));
  if (description.source) indirectEval(`${repeat("\n", SOURCES_LINE)}(function(G, vm){${description.source}\n})`)(G, vm);
  return description.index ? withIndex(G, description.index) : G;
}

function addAll(list, each) {
  for (let i = 0; i < list.length; i++) each(list[i]);
}

function addFunction(add, f) {
  addAll(f.names, (name) => {
    add(name, makeFunction(f, name));
    if (f.async) {
      add(`${name}_async`, makeAsync(f, name));
      add(`${name}Async`, makeAsync(f, name));
    }
  });
}

// An unknown member asks the host: Tool["calculator"].
function withIndex(G, f) {
  return new Proxy(G, {
    get(target, name) {
      if (typeof name === "symbol" || name in target || name === "then" || name === "toJSON") return target[name];
      return callHost(f.op, encodeArguments(f, [name])) ?? undefined;
    },
  });
}

function makeFunction(f, name) {
  const call = chooseCall(f);
  const made = {
    [name](...args) {
      try {
        return call(f, args, this, made);
      } catch (error) {
        throw error ?? NO_MEMORY;
      }
    },
  }[name];
  return made;
}

function chooseCall(f) {
  if (f.returns === "stream") return callStream;
  if (f.post) return post;
  return f.blocking ? callLater : callNow;
}

function post(f, args, self, entry) {
  const refusal = bridge("post", f.op, encodeArguments(f, args, self));
  if (typeof refusal === "string") throw hostError(parse(refusal).error, site(entry));
}

function callNow(f, args, self, entry) {
  return callHost(f.op, encodeArguments(f, args, self), entry);
}

function callLater(f, args, self, entry) {
  let text;
  try {
    text = encodeArguments(f, args, self);
  } catch (error) {
    return waitingPromise(f.op, (_, reject) => reject(error));
  }
  return startHost(f.op, text, entry);
}

// `execute_async(input, callback?)`: a Promise; the callback gets (result, null) or (null, message).
function makeAsync(f, name) {
  return {
    [name](...args) {
      const last = args[args.length - 1];
      const callback = args.length > 1 && typeof last === "function" ? last : undefined;
      if (callback) args.length -= 1;
      const promise = callLater(f, args, this, undefined);
      if (callback) follow(promise, (value) => callback(value, null), (error) => callback(null, error.message));
      return promise;
    },
  }[name];
}

// With a callback the host pushes the chunks; without one the script pulls them: for await (const chunk of ...).
function callStream(f, args, self, entry) {
  for (let i = 0; i < args.length; i++) if (typeof args[i] === "function") return callLater(f, args, self, entry);
  return pull(callLater(f, args, self, entry), site(entry));
}

// `where` the script asked for the stream: a loop takes the chunks, and has no line of its own in a stack.
function pull(opening, where) {
  let ended = false;
  const step = async (op) => {
    const stream = weakGet(handleIds, await opening);
    return startHost(op, json([stream.id]), undefined, where);
  };
  const stream = {
    async next() {
      if (ended) return { value: undefined, done: true };
      const chunk = await step("Stream#next");
      ended = chunk === null || chunk.done === true;
      return ended ? { value: undefined, done: true } : { value: chunk.value, done: false };
    },
    async return(value) {
      if (!ended) {
        ended = true;
        await step("Stream#close");
      }
      return { value, done: true };
    },
    async collect() {
      const items = [];
      for (let item = await stream.next(); !item.done; item = await stream.next()) push(items, item.value);
      return items;
    },
    [asyncIterator]() {
      return stream;
    },
    [Symbol.iterator]() {
      throw misuse(new TypeErrorOf("a stream comes piece by piece: write for await (const chunk of stream)"));
    },
  };
  weakSet(opaque, stream, "stream");
  return stream;
}

function encodeArguments(f, args, self) {
  const out = f.handle ? [handleOf(f, self)] : [];
  let count = args.length;
  while (count > 0 && args[count - 1] === undefined) count--;
  for (let i = 0; i < count; i++) {
    if (!isSimple(args[i])) return encodeAll(f, out, args, i, count);
    push(out, args[i]);
  }
  return hasToJson() ? write(out) : json(out);
}

// What JSON.stringify writes as it is.
function isSimple(value) {
  const kind = typeof value;
  return kind === "string" || kind === "boolean" || (kind === "number" && (isSafeInteger(value) || !isInteger(value)));
}

function encodeAll(f, out, args, from, count) {
  sawBig = false;
  for (let i = from; i < count; i++) {
    const value = copy(args[i], ruleFor(f, i));
    push(out, value === undefined ? null : f.params[i]?.options ? withSnakeCase(value) : value);
  }
  return write(out);
}

// Option tables may be written in camelCase: {maxTokens: 5}.
function withSnakeCase(options) {
  if (options === null || typeof options !== "object" || isArray(options)) return options;
  const out = create(null);
  addAll(keys(options), (name) => { out[snake(name)] = options[name]; });
  return out;
}

function snake(name) {
  const lower = (_, before, letter) => `${before}_${toLowerCase(letter)}`;
  return matches(/^[a-z][A-Za-z0-9]*$/, name) ? replace(name, /([a-z0-9])([A-Z])/g, lower) : name;
}

function ruleFor(f, i) {
  const parameter = f.params[i];
  if (parameter === undefined) return { label: `${f.op}: argument ${i + 1}`, functions: false };
  return parameterRule(`${f.op}: '${parameter.name}'`, parameter);
}

function parameterRule(label, parameter) {
  return { label, functions: parameter.type === "function" ? true : parameter.callbacks };
}

function handleOf(f, self) {
  const handle = self !== null && typeof self === "object" ? weakGet(handleIds, self) : undefined;
  if (handle === undefined) throw misuse(new TypeErrorOf(`${f.name} must be called on its object, as in object.${f.name}(...)`));
  return handle.id;
}

function makeHandle(name, id, fields) {
  const object = create((handlePrototypes[name] ??= handlePrototype(name)));
  weakSet(handleIds, object, { name, id });
  if (fields) addAll(keys(fields), (field) => setOwn(object, field, revive(fields[field])));
  return object;
}

function handlePrototype(name) {
  const prototype = {};
  hide(prototype, tag, name);
  const add = (member, value) => {
    // An object with a `then` would be taken for a promise by `await`.
    if (member !== "then") hide(prototype, member, value);
  };
  addAll(bare(handleKinds[name])?.methods ?? [], (f) => addFunction(add, { __proto__: null, ...f, handle: name }));
  return prototype;
}

function makeBuilderFunction(b, name) {
  const prototype = {};
  const known = create(null);
  b.path = slice(b.build.op, 0, -b.build.name.length - 1);
  addAll(b.setters, (setter) => {
    addAll(setter.names, (n) => { known[n] = setter.field ?? setter.name; });
    addAll(setter.names, (n) => hide(prototype, n, makeSetter(b, setter, n, known)));
  });
  addAll(b.build.names, (n) => hide(prototype, n, makeBuild(b, n)));
  return {
    [name](...args) {
      const builder = create(prototype);
      const fields = create(null);
      let place = 0;
      addAll(b.params, (p) => {
        const value = copy(args[place++], parameterRule(`${b.name}: '${p.name}'`, p));
        if (value !== undefined && value !== null) fields[p.name] = value;
      });
      weakSet(builderFields, builder, fields);
      weakSet(opaque, builder, "builder");
      weakSet(builderPaths, builder, b.path);
      return builder;
    },
  }[name];
}

function fieldsOf(builder, name) {
  const fields = builder !== null && typeof builder === "object" ? weakGet(builderFields, builder) : undefined;
  if (fields === undefined) throw misuse(new TypeErrorOf(`${name} must be called on a builder, as in builder.${name}(...)`));
  return fields;
}

function makeSetter(b, setter, name, known) {
  return {
    [name](...args) {
      store(fieldsOf(this, name), setter, setterValue(b, setter, args), known);
      return this;
    },
  }[name];
}

const ARTICLES = freeze({
  __proto__: null, string: "a string", integer: "an integer", number: "a number", boolean: "a boolean",
  object: "a table with named fields", array: "a list", function: "a function", handle: "an object",
});

function checkParameter(label, p, value) {
  if (p.type === "any") return;
  if (value === undefined || value === null) {
    if (p.required) throw misuse(new TypeErrorOf(`${label}: '${p.name}' is required`));
    return;
  }
  if (fits(p.type, value)) return;
  if (value instanceof PromiseOf) throw misuse(new TypeErrorOf(`${label}: '${p.name}' is a Promise; await it first`));
  const kind = typeof value;
  const word = isArray(value) ? "list" : kind === "object" ? "table" : kind === "bigint" ? "number" : kind;
  throw misuse(new TypeErrorOf(`${label}: '${p.name}' must be ${ARTICLES[p.type]}, got ${word}`));
}

function fits(type, value) {
  const kind = typeof value;
  if (type === "integer") return kind === "bigint" || isInteger(value);
  if (type === "number") return kind === "number" || kind === "bigint";
  if (type === "array") return isArray(value);
  if (type === "object") return kind === "object" && (!isArray(value) || value.length === 0);
  return type === "handle" ? kind === "object" : kind === type;
}

function setterValue(b, setter, args) {
  if (setter.params.length === 0) return setter.value;
  const values = create(null);
  const label = `${b.path}():${setter.name}`;
  for (let i = 0; i < setter.params.length; i++) {
    const p = setter.params[i];
    checkParameter(label, p, args[i]);
    const given = copy(args[i], parameterRule(`${setter.name}: '${p.name}'`, p));
    const value = p.options ? withSnakeCase(given) : given;
    if (setter.params.length === 1) return value === undefined ? null : value;
    if (value !== undefined && value !== null) values[p.name] = value;
  }
  return values;
}

function store(fields, setter, value, known) {
  if (setter.mode === "set") fields[setter.field] = value;
  else if (setter.mode === "append") {
    const list = (fields[setter.field] ??= []);
    push(list, value);
  } else {
    const target = setter.field === null ? fields : (fields[setter.field] ??= create(null));
    if (value === null) return;
    addAll(keys(value), (key) => { target[known[key] ?? key] = value[key]; });
  }
}

function makeBuild(b, name) {
  const f = { __proto__: null, ...b.build, params: [{ name: "fields", type: "object", callbacks: ["*"] }] };
  const call = chooseCall(f);
  return { [name]() { return call(f, [fieldsOf(this, name)]); } }[name];
}

// What the JavaScript part of a global (`sources`) may use.
const vm = freeze({
  call: (op, ...args) => callHost(op, encode(args, op, true)),
  start: (op, ...args) => startHost(op, encode(args, op, true)),
  inspect,
  errorInfo,
  // Says that `value` is nothing but methods: it cannot be a script's result.
  opaque: (value, kind) => weakSet(opaque, value, kind),
  // What is wrong with JSON text, in the words that every engine uses.
  jsonProblem: (text) => typeof text === "string" ? parse(bridge("json", stringify(text))) : "a string is expected",
  stack: () => scriptFrames(new ErrorOf()),
  // Functions of the language as they were before the script began: own.slice(text, 0, 3).
  own: freeze({
    __proto__: null, apply: ReflectApply, create, defineProperty, keys, isArray, stringify, slice, split, replace, repeat, startsWith, trim,
    toLowerCase, push, put, join, sort: intrinsics.sort, Error: ErrorOf, hasOwn, addAll,
  }),
  // `error` as if it came from whoever called `entry`.
  below(error, entry) {
    placeStack(error, ownFrames(site(entry)));
    return error;
  },
});
