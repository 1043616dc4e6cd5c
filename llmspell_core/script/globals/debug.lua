-- The part of Debug that is the VM's: levels are checked before anything crosses, values are formatted where they live.
local G, vm = ...
local type, tostring, pairs, ipairs, error, select, next, getmetatable, rawget = type, tostring, pairs, ipairs, error, select, next, getmetatable, rawget
local concat, sort, lower, format, rep, sub, gsub = table.concat, table.sort, string.lower, string.format, string.rep, string.sub, string.gsub
local mathtype, floor, tonumber = math.type, math.floor, tonumber

-- Logging -------------------------------------------------------------------------------------------------------------

local rank = { off = 0, error = 1, warn = 2, info = 3, debug = 4, trace = 5 }
local threshold, enabled
local send, set_level, set_enabled, get_level, is_enabled = G.log, G.setLevel, G.setEnabled, G.getLevel, G.isEnabled

-- What the configuration begins with is asked for once, when something is logged.
local function wanted(level)
  local own = type(level) == "string" and rank[lower(level)]
  if threshold == nil then threshold = rank[lower(get_level())] end
  if enabled == nil then enabled = is_enabled() end
  return enabled and own and own > 0 and own <= threshold
end

function G.log(level, message, module)
  if wanted(level) then send(level, tostring(message), module) end
end

for _, level in ipairs({ "trace", "debug", "info", "warn", "error" }) do
  G[level] = function(message, module)
    if wanted(level) then send(level, tostring(message), module) end
  end
end

function G.logWithData(level, message, data, module)
  if wanted(level) then send(level, tostring(message), module, data) end
end
G.log_with_data = G.logWithData

function G.setLevel(level)
  local accepted = set_level(level)
  if accepted then threshold = rank[lower(level)] end
  return accepted
end
G.set_level = G.setLevel

function G.setEnabled(on)
  enabled = on and true or false
  set_enabled(enabled)
end
G.set_enabled = G.setEnabled

-- Values --------------------------------------------------------------------------------------------------------------

local function style(depth, indent, text, items, pairs_, types, addresses, compact)
  return { max_depth = depth, indent_size = indent, max_string_length = text, max_array_elements = items,
    max_table_pairs = pairs_, show_types = types, show_addresses = addresses, compact_mode = compact }
end
local usual = style(10, 2, 200, 50, 50, true, false, false)
local compact = style(3, 0, 50, 10, 10, false, false, true)
local verbose = style(20, 4, 1000, 200, 200, true, true, false)

local function typed(text, kind, options)
  return options.show_types and text .. " (" .. kind .. ")" or text
end

local function scalar(value, options)
  local kind = type(value)
  if kind == "string" then
    local text = #value > options.max_string_length and sub(value, 1, options.max_string_length) .. "..." or value
    return typed('"' .. gsub(gsub(text, '[\\"]', "\\%0"), "\n", "\\n") .. '"', "string", options)
  end
  if kind == "number" then return typed(tostring(value), mathtype and mathtype(value) or kind, options) end
  if kind == "nil" then return "nil" end
  if kind == "boolean" then return typed(tostring(value), kind, options) end
  return options.show_addresses and "<" .. tostring(value) .. ">" or "<" .. kind .. ">"
end

local function sorted_keys(value)
  local keys = {}
  for key in pairs(value) do keys[#keys + 1] = key end
  sort(keys, function(a, b)
    if type(a) == type(b) and (type(a) == "number" or type(a) == "string") then return a < b end
    return type(a) == "number" and type(b) ~= "number" or (type(a) ~= "number" and type(b) ~= "number" and tostring(a) < tostring(b))
  end)
  return keys
end

local dump

local function members(value, options, depth, seen)
  local length, parts = #value, {}
  for i = 1, length do
    if i > options.max_array_elements then
      parts[#parts + 1] = format("... %d more", length - i + 1)
      break
    end
    parts[#parts + 1] = dump(value[i], options, depth + 1, seen)
  end
  local count = 0
  for _, key in ipairs(sorted_keys(value)) do
    if not (mathtype and mathtype(key) == "integer" or type(key) == "number") or key < 1 or key > length then
      count = count + 1
      if count > options.max_table_pairs then
        parts[#parts + 1] = "..."
        break
      end
      local name = type(key) == "string" and key or "[" .. tostring(key) .. "]"
      parts[#parts + 1] = name .. " = " .. dump(value[key], options, depth + 1, seen)
    end
  end
  return parts
end

function dump(value, options, depth, seen)
  if type(value) ~= "table" then return scalar(value, options) end
  if seen[value] then return "<cycle>" end
  if depth >= options.max_depth then return "{...}" end
  seen[value] = true
  local parts = members(value, options, depth, seen)
  seen[value] = nil
  local head = options.show_addresses and "<" .. tostring(value) .. "> " or ""
  if #parts == 0 then return head .. "{}" end
  if options.compact_mode then return head .. "{" .. concat(parts, ", ") .. "}" end
  local inner = rep(" ", options.indent_size * (depth + 1))
  return head .. "{\n" .. inner .. concat(parts, ",\n" .. inner) .. "\n" .. rep(" ", options.indent_size * depth) .. "}"
end

local function labelled(value, options, label)
  local text = dump(value, options, 0, {})
  return label and tostring(label) .. ": " .. text or text
end

function G.dump(value, label) return labelled(value, usual, label) end
function G.dumpCompact(value, label) return labelled(value, compact, label) end
function G.dumpVerbose(value, label) return labelled(value, verbose, label) end

function G.dumpWithOptions(value, options, label)
  local merged = {}
  for key, default in next, usual do merged[key] = default end
  for key, own in next, options or {} do merged[key] = own end
  return labelled(value, merged, label)
end
G.dump_compact, G.dump_verbose, G.dump_with_options = G.dumpCompact, G.dumpVerbose, G.dumpWithOptions
vm.share.dump = function(value) return dump(value, compact, 0, {}) end

-- Where we are --------------------------------------------------------------------------------------------------------

local function frames(options)
  local found = {}
  local limit = options and options.max_depth or 50
  local level = 3
  while #found < limit do
    local info = vm.getinfo(level, "Sln")
    if not info then break end
    if info.what ~= "C" and not string.find(info.short_src, "[llmspell]", 1, true) then
      found[#found + 1] = { name = info.name or (info.what == "main" and "main chunk") or "anonymous function",
        source = info.short_src, line = info.currentline, what = info.what }
    end
    level = level + 1
  end
  return found
end

function G.stackTrace(options)
  local lines = { "stack traceback:" }
  for _, frame in ipairs(frames(options)) do
    local place = (options == nil or options.include_source ~= false) and format("%s:%d: ", frame.source, frame.line) or ""
    lines[#lines + 1] = "  " .. place .. "in " .. frame.name
  end
  return concat(lines, "\n")
end

function G.stackTraceJson(options)
  local ok, text = vm.json_encode({ frames = vm.list(frames(options)) })
  return text
end
G.stack_trace, G.stack_trace_json = G.stackTrace, G.stackTraceJson

local memory_stats = G.memoryStats
function G.memoryStats() return memory_stats(vm.used_bytes(), vm.collections) end
G.memory_stats = G.memoryStats

-- Errors --------------------------------------------------------------------------------------------------------------

-- Errors are texts here. The engine knows what it was that came with one of the last of them.
function G.errorInfo(problem)
  if problem == nil then return nil end
  if type(problem) ~= "table" then return vm.error_info(tostring(problem)) end
  local info = vm.error_info(tostring(rawget(problem, "message") or rawget(problem, "error") or problem))
  for _, name in ipairs({ "code", "type", "hint", "retryable" }) do
    local own = rawget(problem, name)
    if own ~= nil then info[name] = own end
  end
  return info
end
G.error_info = G.errorInfo
