// Text for console.log: like node's, bounded in depth and length, and without running a script's getters.
const MAX_ITEMS = 100;
const MAX_TEXT = 200000;
const WIDTH = 76;
const regexpText = method(RegExp.prototype.toString);
const symbolText = method(Symbol.prototype.toString);
const functionText = method(Function.prototype.toString);
const join = method(Array.prototype.join);
const { ownKeys } = Reflect;
const Sym = Symbol;
const tag = Symbol.toStringTag;
const { asyncIterator } = Symbol;
const texts = new WeakMap(); // object -> what says it in short
let budget = 0;
const LONG_TEXT = 80; // characters of one that is not shown twice
let shownTexts; // text -> the field where it was shown

function inspect(value, depth = 4) {
  budget = MAX_TEXT;
  shownTexts = create(null);
  try {
    return show(value, depth, [], "");
  } catch (error) {
    return error instanceof RangeError ? "[Too deep to show]" : "[Cannot be shown]";
  }
}

function quote(text) {
  const shown = text.length > 10000 ? `${slice(text, 0, 10000)}... ${text.length - 10000} more characters` : text;
  if (indexOf(shown, "'") < 0) return `'${slice(replace(stringify(shown), /\\"/g, '"'), 1, -1)}'`;
  return stringify(shown);
}

function show(value, depth, parents, indent) {
  const text = showAny(value, depth, parents, indent);
  budget -= text.length;
  return text;
}

function showAny(value, depth, parents, indent) {
  switch (typeof value) {
    case "string":
      return quote(value);
    case "bigint":
      return `${value}n`;
    case "symbol":
      return symbolText(value);
    case "function":
      return showFunction(value);
    case "number":
      return value === 0 && 1 / value < 0 ? "-0" : `${value}`;
    case "object":
      return value === null ? "null" : showBuilder(value, depth, parents, indent) ?? showObject(value, depth, parents, indent);
  }
  return `${value}`;
}

function showBuilder(value, depth, parents, indent) {
  const path = weakGet(builderPaths, value);
  return path && `${path} ${showObject({ ...weakGet(builderFields, value) }, depth, parents, indent)}`;
}

function showFunction(f) {
  const own = getOwnPropertyDescriptor(f, "name");
  const name = own && typeof own.value === "string" && own.value ? `: ${own.value}` : " (anonymous)";
  return startsWith(functionText(f), "class") ? `[class${own && own.value ? ` ${own.value}` : " (anonymous)"}]` : `[Function${name}]`;
}

function showObject(value, depth, parents, indent) {
  for (let i = 0; i < parents.length; i++) if (parents[i] === value) return "[Circular]";
  if (value instanceof ErrorOf) return showError(value);
  if (value instanceof RegExp) return regexpText(value);
  if (value instanceof Date) return dateIso(value) ?? "Invalid Date";
  if (value instanceof PromiseOf) return showPromise(value);
  const name = className(value);
  const text = weakGet(texts, value);
  if (text !== undefined) return `${name} { ${quote(text())} }`;
  if (depth < 0 || budget <= 0) return isArray(value) ? "[Array]" : `[${name || "Object"}]`;
  const inside = [];
  for (let i = 0; i < parents.length; i++) push(inside, parents[i]);
  push(inside, value);
  const items = showItems(value, depth - 1, inside, `${indent}  `);
  const list = isArray(value) || isTyped(value);
  return prefix(value, name) + brackets(items, list ? "[" : "{", list ? "]" : "}", indent);
}

function showError(error) {
  const head = `${error.name}: ${error.message}`;
  const stack = scriptFrames(error);
  return stack ? `${head}\n${stack}` : head;
}

// The script's part of a stack, with its files and their lines.
function scriptFrames(error) {
  const stack = ownFrames(stackOf(error));
  return stack === "" ? stack : parse(bridge("frames", stringify(stack)));
}

function className(value) {
  const handle = weakGet(handleIds, value);
  if (handle !== undefined) return handle.name;
  const proto = getPrototypeOf(value);
  if (proto === null) return "[Object: null prototype]";
  const own = getOwnPropertyDescriptor(proto, tag)?.value ?? getOwnPropertyDescriptor(proto, "constructor")?.value?.name;
  return own === "Object" || own === "Array" || typeof own !== "string" ? "" : own;
}

function prefix(value, name) {
  if (value instanceof Map || value instanceof Set) return `${name}(${value.size}) `;
  return name ? `${name} ` : "";
}

function showItems(value, depth, parents, indent) {
  const items = [];
  const add = (text) => push(items, text);
  if (value instanceof Map) mapForEach(value, (v, k) => {
    if (room(items, add)) add(`${show(k, depth, parents, indent)} => ${show(v, depth, parents, indent)}`);
  });
  else if (value instanceof Set) setForEach(value, (v) => {
    if (room(items, add)) add(show(v, depth, parents, indent));
  });
  else if (isArray(value) || isTyped(value)) return arrayItems(value, items, add, depth, parents, indent);
  fieldItems(value, items, add, depth, parents, indent);
  return items;
}

// False, once with a remark, when no more should be shown.
function room(items, add) {
  if (items.length < MAX_ITEMS && budget > 0) return true;
  if (items.length === 0 || items[items.length - 1] !== "...") add("...");
  return false;
}

function arrayItems(value, items, add, depth, parents, indent) {
  const shown = value.length < MAX_ITEMS ? value.length : MAX_ITEMS;
  for (let i = 0; i < shown && budget > 0; i++) {
    add(i in value ? show(value[i], depth, parents, indent) : "<empty>");
  }
  if (items.length < value.length) add(`... ${value.length - items.length} more items`);
  if (isArray(value)) fieldItems(value, items, add, depth, parents, indent, true);
  return items;
}

function fieldItems(value, items, add, depth, parents, indent, skipNumbers = false) {
  const names = skipNumbers && value.length > 1000 ? [] : ownKeys(value);
  for (let i = 0; i < names.length; i++) {
    const name = names[i];
    if (skipNumbers && (name === "length" || (typeof name === "string" && matches(/^\d+$/, name)))) continue;
    const found = getOwnPropertyDescriptor(value, name);
    if (!found || !found.enumerable) continue;
    if (!room(items, add)) return;
    const shown = found.get ? "[Getter]" : found.set ? "[Setter]" : showField(name, found.value, depth, parents, indent);
    add(`${showKey(name)}: ${shown}`);
  }
}

// An answer says its text under several names.
function showField(name, value, depth, parents, indent) {
  if (typeof value === "string" && value.length > LONG_TEXT) {
    const before = shownTexts[value];
    if (before !== undefined) return `<the same as ${before}>`;
    shownTexts[value] = showKey(name);
  }
  return show(value, depth, parents, indent);
}

function showKey(name) {
  if (typeof name === "symbol") return `[${symbolText(name)}]`;
  return matches(/^[A-Za-z_$][\w$]*$/, name) ? name : quote(name);
}

function brackets(items, open, close, indent) {
  if (items.length === 0) return open + close;
  const line = join(items, ", ");
  if (line.length + indent.length <= WIDTH && indexOf(line, "\n") < 0) return `${open} ${line} ${close}`;
  return `${open}\n${indent}  ${join(items, `,\n${indent}  `)}\n${indent}${close}`;
}

// One line of console output from its arguments, with %s %d %i %f %j %o %O %c.
function format(args) {
  let text = "";
  let next = 0;
  if (typeof args[0] === "string" && args.length > 1 && indexOf(args[0], "%") >= 0) {
    next = 1;
    text = replace(args[0], /%[sdifjoOc%]/g, (code) => {
      if (code === "%%") return "%";
      return next < args.length ? formatOne(code, args[next++]) : code;
    });
  }
  for (; next < args.length; next++) {
    if (next > 0) text += " ";
    text += typeof args[next] === "string" ? args[next] : inspect(args[next]);
  }
  return text;
}

function formatOne(code, value) {
  if (code === "%c") return "";
  if (code === "%s") return typeof value === "string" ? value : inspect(value, 0);
  if (code === "%d") return typeof value === "bigint" ? `${value}n` : `${+value}`;
  if (code === "%i") return `${trunc(+value)}`;
  if (code === "%f") return `${+value}`;
  if (code === "%j") return stringify(value) ?? "undefined";
  return inspect(value);
}
