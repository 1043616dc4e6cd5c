// console.

const out = (text) => K.print("stdout", [text]);
const err = (text) => K.print("stderr", [text]);
const begun = create(null);
const counts = create(null);

function lasted(label, rest) {
  if (begun[label] === undefined) return err(`there is no timer '${label}'`);
  const all = [`${label}: ${P.fixed(P.now() - begun[label], 3)}ms`];
  for (let i = 0; i < rest.length; i++) push(all, rest[i]);
  return K.print("stdout", all);
}

function table(data, columns) {
  if (data === null || typeof data !== "object") return out(data);
  const rows = rowsOf(data);
  const names = columns ?? columnsOf(rows);
  const plain = columns ? false : hasPlain(rows);
  const head = ["(index)"];
  for (let k = 0; k < names.length; k++) push(head, `${names[k]}`);
  if (plain) push(head, "Values");
  const lines = [head];
  for (let i = 0; i < rows.length; i++) {
    const key = rows[i][0];
    const value = rows[i][1];
    const line = [`${key}`];
    const nested = value !== null && typeof value === "object";
    for (let k = 0; k < names.length; k++) push(line, nested && K.hasOwn(value, names[k]) ? inspect(value[names[k]], 0) : "");
    if (plain) push(line, nested ? "" : inspect(value, 0));
    push(lines, line);
  }
  out(drawn(lines));
}

function rowsOf(data) {
  const rows = [];
  if (data instanceof P.Map) mapForEach(data, (value, key) => push(rows, [key, value]));
  else if (data instanceof P.Set) setForEach(data, (value) => push(rows, [rows.length, value]));
  else {
    const names = keys(data);
    for (let i = 0; i < names.length; i++) push(rows, [names[i], data[names[i]]]);
  }
  return rows;
}

function columnsOf(rows) {
  const seen = create(null);
  for (let i = 0; i < rows.length; i++) {
    const value = rows[i][1];
    if (value !== null && typeof value === "object") {
      const names = keys(value);
      for (let k = 0; k < names.length; k++) seen[names[k]] = true;
    }
  }
  return keys(seen);
}

function hasPlain(rows) {
  for (let i = 0; i < rows.length; i++) if (rows[i][1] === null || typeof rows[i][1] !== "object") return true;
  return false;
}

function drawn(lines) {
  const widths = [];
  for (let i = 0; i < lines.length; i++) {
    for (let k = 0; k < lines[i].length; k++) {
      const size = lines[i][k].length + 2;
      if (!(widths[k] >= size)) put(widths, k, size);
    }
  }
  const rule = (left, middle, right) => {
    let text = left;
    for (let k = 0; k < widths.length; k++) text += repeat("\u2500", widths[k]) + (k < widths.length - 1 ? middle : right);
    return text;
  };
  let text = rule("\u250c", "\u252c", "\u2510");
  for (let i = 0; i < lines.length; i++) {
    text += "\n\u2502";
    for (let k = 0; k < widths.length; k++) text += ` ${lines[i][k]}${repeat(" ", widths[k] - lines[i][k].length - 1)}\u2502`;
    if (i === 0) text += `\n${rule("\u251c", "\u253c", "\u2524")}`;
  }
  return `${text}\n${rule("\u2514", "\u2534", "\u2518")}`;
}

const group = (...label) => {
  if (label.length > 0) K.print("stdout", label);
  K.indentBy(1);
};

const console = {
  table,
  time(label = "default") {
    if (begun[label] !== undefined) err(`the timer '${label}' runs already`);
    else begun[label] = P.now();
  },
  timeLog(label = "default", ...rest) { lasted(label, rest); },
  timeEnd(label = "default") {
    lasted(label, []);
    delete begun[label];
  },
  group,
  groupCollapsed: group,
  groupEnd() { K.indentBy(-1); },
  assert(condition, ...rest) {
    if (condition) return;
    const all = ["Assertion failed"];
    for (let i = 0; i < rest.length; i++) {
      if (i === 0 && typeof rest[0] === "string") put(all, 0, `Assertion failed: ${rest[0]}`);
      else push(all, rest[i]);
    }
    K.print("stderr", all);
  },
  count(label = "default") {
    counts[label] = (counts[label] ?? 0) + 1;
    out(`${label}: ${counts[label]}`);
  },
  countReset(label = "default") { delete counts[label]; },
  trace(...args) { err(`Trace${args.length > 0 ? `: ${format(args)}` : ""}\n${scriptFrames(new ErrorOf())}`); },
};
