// The part of Debug that is the VM's: levels are checked before anything crosses, values are formatted where they live.
const rank = { __proto__: null, off: 0, error: 1, warn: 2, info: 3, debug: 4, trace: 5 };
let threshold, enabled;
const { log: send, setLevel, setEnabled, getLevel, isEnabled, memoryStats } = G;
// What the configuration begins with is asked for once, when something is logged.
const wanted = (level) => {
  const own = typeof level === "string" ? rank[level.toLowerCase()] : undefined;
  threshold ??= rank[getLevel().toLowerCase()];
  enabled ??= isEnabled();
  return enabled && own > 0 && own <= threshold;
};

G.log = (level, message, module) => { if (wanted(level)) send(level, `${message}`, module ?? null); };
for (const level of ["trace", "debug", "info", "warn", "error"]) {
  G[level] = (message, module) => { if (wanted(level)) send(level, `${message}`, module ?? null); };
}
G.logWithData = G.log_with_data = (level, message, data, module) => {
  if (wanted(level)) send(level, `${message}`, module ?? null, data);
};
G.setLevel = G.set_level = (level) => {
  const accepted = setLevel(level);
  if (accepted) threshold = rank[level.toLowerCase()];
  return accepted;
};
G.setEnabled = G.set_enabled = (on) => { enabled = Boolean(on); setEnabled(enabled); };

const style = (max_depth, indent_size, max_string_length, max_array_elements, max_table_pairs, show_types, show_addresses,
  compact_mode) => ({ max_depth, indent_size, max_string_length, max_array_elements, max_table_pairs, show_types,
  show_addresses, compact_mode });
const usual = style(10, 2, 200, 50, 50, true, false, false);
const compact = style(3, 0, 50, 10, 10, false, false, true);
const verbose = style(20, 4, 1000, 200, 200, true, true, false);

function scalar(value, options) {
  const kind = value === null ? "null" : typeof value;
  if (kind === "null" || kind === "undefined") return kind;
  if (kind === "function" || kind === "symbol") return `<${kind}>`;
  let text = String(value);
  if (kind === "string") {
    text = JSON.stringify(text.length > options.max_string_length ? `${text.slice(0, options.max_string_length)}...` : text);
  }
  return options.show_types ? `${text} (${kind})` : text;
}

function members(value, options, depth, seen) {
  if (Array.isArray(value)) {
    const parts = value.slice(0, options.max_array_elements).map((item) => dump(item, options, depth + 1, seen));
    if (value.length > parts.length) parts.push(`... ${value.length - parts.length} more`);
    return parts;
  }
  const keys = Object.keys(value).sort();
  const parts = keys.slice(0, options.max_table_pairs).map((key) => `${key} = ${dump(value[key], options, depth + 1, seen)}`);
  if (keys.length > parts.length) parts.push("...");
  return parts;
}

function dump(value, options, depth, seen) {
  if (value === null || typeof value !== "object") return scalar(value, options);
  if (seen.has(value)) return "<cycle>";
  const [open, close] = Array.isArray(value) ? ["[", "]"] : ["{", "}"];
  if (depth >= options.max_depth) return `${open}...${close}`;
  seen.add(value);
  const parts = members(value, options, depth, seen);
  seen.delete(value);
  if (parts.length === 0) return open + close;
  if (options.compact_mode) return open + parts.join(", ") + close;
  const inner = " ".repeat(options.indent_size * (depth + 1));
  return `${open}\n${inner}${parts.join(`,\n${inner}`)}\n${" ".repeat(options.indent_size * depth)}${close}`;
}

const labelled = (value, options, label) => {
  const text = dump(value, options, 0, new Set());
  return label === undefined || label === null ? text : `${label}: ${text}`;
};
G.dump = (value, label) => labelled(value, usual, label);
G.dumpCompact = G.dump_compact = (value, label) => labelled(value, compact, label);
G.dumpVerbose = G.dump_verbose = (value, label) => labelled(value, verbose, label);
G.dumpWithOptions = G.dump_with_options = (value, options, label) => {
  const own = Object.entries(options ?? {}).map(([key, item]) => [key.replace(/[A-Z]/g, (c) => `_${c.toLowerCase()}`), item]);
  return labelled(value, { ...usual, ...Object.fromEntries(own) }, label);
};

function frames(options) {
  const limit = options?.max_depth ?? options?.maxDepth ?? 50;
  const lines = vm.stack().split("\n").filter((line) => line.trim() !== "");
  return lines.slice(0, limit).map((line) => line.trim().replace(/^at /, ""));
}
G.stackTrace = G.stack_trace = (options) => ["stack traceback:", ...frames(options).map((line) => `  ${line}`)].join("\n");
G.stackTraceJson = G.stack_trace_json = (options) => JSON.stringify({ frames: frames(options).map((source) => ({ source })) });
G.memoryStats = G.memory_stats = () => memoryStats();
G.errorInfo = G.error_info = vm.errorInfo;
