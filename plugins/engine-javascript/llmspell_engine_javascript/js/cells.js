// Cells of an interactive session. A cell becomes the body of an async function, so `await` works at its top level. What
// it declares must outlive it: the engine's own parser tells which names the cell declares (a `let x` in front of a body
// that declares x is a syntax error), and each of them becomes an accessor on the global object that reads and writes
// the cell's variable. They are installed before the first statement runs, so an interrupted cell keeps what it had.
const ObjectOf = Object;
const sort = method(Array.prototype.sort);
const reserved = create(null);
for (const word of (
  "arguments async await break case catch class const continue debugger default delete do else enum eval export extends " +
  "false finally for function if implements import in instanceof interface let new null of package private protected " +
  "public return static super switch this throw true try typeof undefined var void while with yield"
).split(" ")) reserved[word] = true;

const compiles = (body) => isBody(body, "async function()");
const isBlank = (text) => !matches(/\S/, text);

function declaredNames(source) {
  if (!matches(/\b(?:let|const|var|class|function|using)\b/, source)) return [];
  const word = /[\p{ID_Start}$_][\p{ID_Continue}$]*/gu;
  const seen = create(null);
  const names = [];
  for (let found = exec(word, source); found !== null; found = exec(word, source)) {
    const name = found[0];
    if (!reserved[name] && !seen[name]) push(names, name);
    seen[name] = true;
  }
  const declared = [];
  if (names.length > 0) addDeclared(declared, names, 0, names.length, source);
  return declared;
}

function addDeclared(declared, names, from, to, source) {
  let list = "";
  for (let i = from; i < to; i++) list += (i > from ? "," : "") + names[i];
  if (compiles(`let ${list};${source}`)) return;
  if (to - from === 1) {
    if (compiles(`let ${list};`)) push(declared, names[from]);
    return;
  }
  const half = (from + to) >> 1;
  addDeclared(declared, names, from, half, source);
  addDeclared(declared, names, half, to, source);
}

function rewriteCell(source, line) {
  compile(isBlank(source) ? "" : isExpression(source) ? `return (${source}\n)` : source, line, "");
  const names = declaredNames(source);
  let accessors = isStrict(source) ? '"use strict";' : "";
  for (let i = 0; i < names.length; i++) {
    accessors += `$cell(${stringify(names[i])},()=>${names[i]},($v)=>{${names[i]}=$v});`;
  }
  return accessors + returnLast(source);
}

// What stands in front of the cell must not take the meaning from its "use strict".
function isStrict(source) {
  return matches(/^(?:\s|\/\/.*\n|\/\*[^]*?\*\/)*(?:"use strict"|'use strict')\s*(?:;|\n)/, source);
}

function isExpression(text) {
  const isDeclaration = matches(/^(?:\s|\/\/.*\n|\/\*[^]*?\*\/)*(?:async\s+function|function|class|let)\b/, text);
  return !isDeclaration && compiles(`return (${text}\n)`);
}

// The body that returns the value of `source`, if all of it is one expression.
function expressionOf(source) {
  let end = source.length;
  while (end > 0 && matches(/[\s;]/, source[end - 1])) end--;
  const text = slice(source, 0, end);
  const isWhole = text !== "" && isExpression(text) && compiles(`return [${text}\n]`); // not `a) + (b`
  return isWhole ? `return (${text}\n)` : undefined;
}

// The value of a cell is that of its last statement, if that is an expression: the longest expression at the end of the
// source whose beginning ends a statement.
function returnLast(source) {
  const body = replace(source, /[\s;]+$/, "");
  const boundary = /[;\n}]/g;
  let at = 0;
  for (let tries = 0; at < body.length && tries < 2000; tries++) {
    const rest = slice(body, at);
    if (!isBlank(rest) && isExpression(rest) && splitsAt(body, at)) {
      const returned = returnAt(body, at);
      if (compiles(returned)) return returned;
    }
    boundary.lastIndex = at;
    if (exec(boundary, body) === null) break;
    at = boundary.lastIndex;
  }
  return source;
}

// The empty lines in front of the last expression stay in front of it: one of them may be what ends the statement before.
function returnAt(body, at) {
  const start = at + exec(/^\s*/, slice(body, at))[0].length;
  return `${slice(body, 0, start)}return (${slice(body, start)}\n)`;
}

function splitsAt(body, at) {
  const head = slice(body, 0, at);
  return compiles(head) && !compiles(`${head}@#${slice(body, at)}`); // the latter compiles inside a comment
}

function defineFromCell(name, get, set) {
  defineProperty(globalThis, name, { __proto__: null, get, set, configurable: true, enumerable: true });
}

// Completions of the dotted name at the end of `text`, without running a script's getters.
function complete(text) {
  const found = exec(/([\p{ID_Continue}$.]*?)([\p{ID_Continue}$]*)$/u, text);
  const path = split(found[1], ".");
  let object = globalThis;
  let steps = 0;
  for (let i = 0; i < path.length; i++) {
    if (path[i] === "") continue;
    object = readable(object, path[i]);
    steps++;
  }
  if (object === undefined || object === null || (steps === 0 && found[1] !== "")) return [];
  return membersOf(ObjectOf(object), found[1], found[2]);
}

function membersOf(object, path, start) {
  const names = create(null);
  let some = false;
  for (let at = object; at !== null && !(at === ObjectPrototype && some); at = getPrototypeOf(at)) {
    const own = getOwnPropertyNames(at);
    for (let i = 0; i < own.length; i++) {
      if (startsWith(own[i], start) && matches(/^[\p{ID_Start}$_][\p{ID_Continue}$]*$/u, own[i])) names[own[i]] = some = true;
    }
  }
  delete names.constructor;
  const list = sort(keys(names));
  for (let i = 0; i < list.length; i++) put(list, i, path + list[i]);
  return list;
}

function readable(object, name) {
  for (let at = object; at !== null && at !== undefined; at = getPrototypeOf(ObjectOf(at))) {
    const found = getOwnPropertyDescriptor(ObjectOf(at), name);
    if (found) return object === globalThis ? object[name] : found.value;
  }
  return undefined;
}
