// Cells of an interactive session. A cell becomes the body of an async function, so `await` works at its top level. What
// it declares must outlive it: the engine's own parser tells which names the cell declares (a `let x` in front of a body
// that declares x is a syntax error), and each of them becomes an accessor on the global object that reads and writes
// the cell's variable. They are installed before the first statement runs, so an interrupted cell keeps what it had.
const reserved = create(null);
for (const word of (
  "arguments async await break case catch class const continue debugger default delete do else enum eval export extends " +
  "false finally for function if implements import in instanceof interface let new null of package private protected " +
  "public return static super switch this throw true try typeof undefined var void while with yield"
).split(" ")) reserved[word] = true;

const compiles = (body) => isBody(body, "async function()");

function declaredNames(source) {
  if (!matches(/\b(?:let|const|var|class|function)\b/, source)) return [];
  const found = source.match(/[\p{ID_Start}$_][\p{ID_Continue}$]*/gu) ?? [];
  const names = [...new Set(found)].filter((name) => !reserved[name]);
  return declaredAmong(names, source);
}

function declaredAmong(names, source) {
  if (names.length === 0 || compiles(`let ${names.join()};${source}`)) return [];
  if (names.length === 1) return compiles(`let ${names[0]};`) ? names : [];
  const half = names.length >> 1;
  return [...declaredAmong(names.slice(0, half), source), ...declaredAmong(names.slice(half), source)];
}

function rewriteCell(source, line) {
  compile(source.trim() === "" ? "" : isExpression(source) ? `return (${source}\n)` : source, line, "");
  const names = declaredNames(source);
  const accessors = names.map((name) => `$cell(${stringify(name)},()=>${name},($v)=>{${name}=$v});`).join("");
  return accessors + returnLast(source);
}

function isExpression(text) {
  const isDeclaration = matches(/^(?:\s|\/\/.*\n|\/\*[^]*?\*\/)*(?:async\s+function|function|class|let)\b/, text);
  return !isDeclaration && compiles(`return (${text}\n)`);
}

// The body that returns the value of `source`, if all of it is one expression.
function expressionOf(source) {
  let end = source.length;
  while (end > 0 && matches(/[\s;]/, source[end - 1])) end--;
  const text = source.slice(0, end);
  const isWhole = text !== "" && isExpression(text) && compiles(`return [${text}\n]`); // not `a) + (b`
  return isWhole ? `return (${text}\n)` : undefined;
}

// The value of a cell is that of its last statement, if that is an expression: the longest expression at the end of the
// source whose beginning ends a statement.
function returnLast(source) {
  const body = source.replace(/[\s;]+$/, "");
  const boundary = /[;\n}]/g;
  let at = 0;
  for (let tries = 0; at < body.length && tries < 2000; tries++) {
    const rest = body.slice(at);
    if (rest.trim() !== "" && isExpression(rest) && splitsAt(body, at)) return `${body.slice(0, at)}return (${rest}\n)`;
    boundary.lastIndex = at;
    if (boundary.exec(body) === null) break;
    at = boundary.lastIndex;
  }
  return source;
}

function splitsAt(body, at) {
  const head = body.slice(0, at);
  return compiles(head) && !compiles(`${head}@#${body.slice(at)}`); // the latter compiles inside a comment
}

function defineFromCell(name, get, set) {
  defineProperty(globalThis, name, { get, set, configurable: true, enumerable: true });
}

// Completions of the dotted name at the end of `text`, without running a script's getters.
function complete(text) {
  const found = /([\p{ID_Continue}$.]*?)([\p{ID_Continue}$]*)$/u.exec(text);
  const path = found[1].split(".").filter((part) => part !== "");
  let object = globalThis;
  for (const part of path) object = readable(object, part);
  if (object === undefined || object === null || (path.length === 0 && found[1] !== "")) return [];
  const names = new Set();
  for (let at = Object(object); at !== null; at = getPrototypeOf(at)) {
    if (at === Object.prototype && names.size > 0) break;
    for (const name of getOwnPropertyNames(at)) {
      if (startsWith(name, found[2]) && matches(/^[\p{ID_Start}$_][\p{ID_Continue}$]*$/u, name)) names.add(name);
    }
  }
  names.delete("constructor");
  return [...names].sort().map((name) => found[1] + name);
}

function readable(object, name) {
  for (let at = object; at !== null && at !== undefined; at = getPrototypeOf(Object(at))) {
    const found = getOwnPropertyDescriptor(Object(at), name);
    if (found) return object === globalThis ? object[name] : found.value;
  }
  return undefined;
}
