// The part of Debug that is the VM's: levels are checked before anything crosses, values are formatted where they live.
const { own } = vm;
const rank = { __proto__: null, off: 0, error: 1, warn: 2, info: 3, debug: 4, trace: 5 };
let threshold, enabled;
const { log: send, setLevel, setEnabled, getLevel, isEnabled, memoryStats } = G;
// What the configuration begins with is asked for once, when something is logged.
const wanted = (level) => {
  const wish = typeof level === "string" ? rank[own.toLowerCase(level)] : undefined;
  threshold ??= rank[own.toLowerCase(getLevel())];
  enabled ??= isEnabled();
  return enabled && wish > 0 && wish <= threshold;
};

G.log = (level, message, module) => { if (wanted(level)) send(level, `${message}`, module ?? null); };
own.addAll(["trace", "debug", "info", "warn", "error"], (level) => {
  G[level] = (message, module) => { if (wanted(level)) send(level, `${message}`, module ?? null); };
});
G.logWithData = G.log_with_data = (level, message, data, module) => {
  if (wanted(level)) send(level, `${message}`, module ?? null, data);
};
G.setLevel = G.set_level = (level) => {
  const accepted = setLevel(level);
  if (accepted) threshold = rank[own.toLowerCase(level)];
  return accepted;
};
G.setEnabled = G.set_enabled = (on) => { enabled = Boolean(on); setEnabled(enabled); };

const style = (max_depth, indent_size, max_string_length, max_array_elements, max_table_pairs, show_types, show_addresses,
  compact_mode) => ({ __proto__: null, max_depth, indent_size, max_string_length, max_array_elements, max_table_pairs, show_types,
  show_addresses, compact_mode });
const usual = style(10, 2, 200, 50, 50, true, false, false);
const compact = style(3, 0, 50, 10, 10, false, false, true);
const verbose = style(20, 4, 1000, 200, 200, true, true, false);

function scalar(value, options) {
  const kind = value === null ? "null" : typeof value;
  if (kind === "null" || kind === "undefined") return kind;
  if (kind === "function" || kind === "symbol") return `<${kind}>`;
  let text = `${value}`;
  if (kind === "string") {
    text = own.stringify(text.length > options.max_string_length ? `${own.slice(text, 0, options.max_string_length)}...` : text);
  }
  return options.show_types ? `${text} (${kind})` : text;
}

function members(value, options, depth, parents) {
  const parts = [];
  const list = own.isArray(value);
  const keys = list ? undefined : own.sort(own.keys(value));
  const count = list ? value.length : keys.length;
  const most = list ? options.max_array_elements : options.max_table_pairs;
  for (let i = 0; i < count && i < most; i++) {
    const item = list ? value[i] : value[keys[i]];
    own.push(parts, (list ? "" : `${keys[i]} = `) + dump(item, options, depth + 1, parents));
  }
  if (count > parts.length) own.push(parts, list ? `... ${count - parts.length} more` : "...");
  return parts;
}

function dump(value, options, depth, parents) {
  if (value === null || typeof value !== "object") return scalar(value, options);
  for (let at = parents; at !== null; at = at.outer) if (at.value === value) return "<cycle>";
  if (depth >= options.max_depth) return own.isArray(value) ? "[...]" : "{...}";
  const parts = members(value, options, depth, { __proto__: null, value, outer: parents });
  return bracketed(parts, options, depth, own.isArray(value) ? "[" : "{", own.isArray(value) ? "]" : "}");
}

function bracketed(parts, options, depth, open, close) {
  if (parts.length === 0) return open + close;
  if (options.compact_mode) return open + own.join(parts, ", ") + close;
  const inner = own.repeat(" ", options.indent_size * (depth + 1));
  return `${open}\n${inner}${own.join(parts, `,\n${inner}`)}\n${own.repeat(" ", options.indent_size * depth)}${close}`;
}

const labelled = (value, options, label) => {
  const text = dump(value, options, 0, null);
  return label === undefined || label === null ? text : `${label}: ${text}`;
};
G.dump = (value, label) => labelled(value, usual, label);
G.dumpCompact = G.dump_compact = (value, label) => labelled(value, compact, label);
G.dumpVerbose = G.dump_verbose = (value, label) => labelled(value, verbose, label);
G.dumpWithOptions = G.dump_with_options = (value, options, label) => {
  const all = style();
  own.addAll(own.keys(usual), (key) => { all[key] = usual[key]; });
  own.addAll(own.keys(options ?? {}), (key) => {
    all[own.replace(key, /[A-Z]/g, (letter) => `_${own.toLowerCase(letter)}`)] = options[key];
  });
  return labelled(value, all, label);
};

function frames(options) {
  const limit = options?.max_depth ?? options?.maxDepth ?? 50;
  const found = [];
  own.addAll(own.split(vm.stack(), "\n"), (line) => {
    const text = own.trim(line);
    if (text !== "" && found.length < limit) own.push(found, own.replace(text, /^at /, ""));
  });
  return found;
}
G.stackTrace = G.stack_trace = (options) => {
  let text = "stack traceback:";
  own.addAll(frames(options), (line) => { text += `\n  ${line}`; });
  return text;
};
G.stackTraceJson = G.stack_trace_json = (options) => {
  let text = "";
  own.addAll(frames(options), (source) => { text += `${text === "" ? "" : ","}{"source":${own.stringify(source)}}`; });
  return `{"frames":[${text}]}`;
};
G.memoryStats = G.memory_stats = () => memoryStats();
G.errorInfo = G.error_info = vm.errorInfo;
