-- Running scripts and cells, and completing words.
local K = ...
local host, env, kinds, identity = K.host, K.env, K.kinds, K.identity
local type, select, next, setmetatable, getmetatable, tostring, rawget = type, select, next, setmetatable, getmetatable, tostring, rawget
local match, gmatch, sub, concat, format = string.match, string.gmatch, string.sub, table.concat, string.format
local sort, ipairs, rawset = table.sort, ipairs, rawset

function K.set_args(args)
  local ARGS, arg = {}, {}
  for name, value in next, args.named do ARGS[name] = value end
  for i, value in ipairs(args.positional) do ARGS[i], arg[i] = value, value end
  ARGS[0], arg[0] = args.script, args.script
  env.ARGS, env.Args, env.arg = ARGS, ARGS, arg
end

if K.list_libraries then K.list_libraries() end

local function pack(...) return { n = select("#", ...), ... } end

local function displayed(values, bare)
  if values.n == 0 then return nil end
  local parts = {}
  for i = 1, values.n do
    local value = values[i]
    if type(value) == "string" then
      parts[i] = bare and value or format("%q", value)
    elseif type(value) == "table" and K.dump then
      parts[i] = K.dump(value)
    else
      parts[i] = K.shown(value)
    end
  end
  for i = 1, values.n do
    local built = K.builders[values[i]]
    if built then parts[i] = built[1] .. " " .. (K.dump and K.dump(built[2]) or "builder") end
  end
  return concat(parts, "\t")
end

-- `is_loose`: what is no data is only shown. What stood behind a script's name are its `...`.
local function run_chunk(chunk, is_loose, ...)
  K.arm()
  local values = pack(K.protected(chunk, ...))
  K.flush_files()
  if not values[1] then return false, values[2], values[3] end
  local ok, problem, trace = K.protected(K.drain)
  if not ok then return false, problem, trace end
  if not is_loose and values[2] ~= nil then
    ok, values[2], trace = K.protected(K.result, values[2])
    if not ok then return false, values[2], trace end
  end
  return true, pack(K.unpack(values, 2, values.n))
end

-- What `code` prints of its values, beyond a single one that is data.
local function printed(values, is_expression)
  if values.n > 1 or (is_expression and values[1] ~= nil) then return displayed(values, true) end
end

-- Returns true, value, display, count, or false, message, traceback; a traceback of nil means that it did not compile.
-- Cells and `code` may be expressions.
function K.run(source, name, mode)
  local chunk, problem
  if mode ~= "script" then chunk = K.compile("return " .. source, name) end
  local is_expression = chunk ~= nil
  if chunk then host.remember(name, source) else chunk, problem = K.compile(source, name) end
  if not chunk then return false, problem, nil end
  local ok, values, trace = run_chunk(chunk, mode == "cell" or is_expression, K.unpack(env.arg, 1, #env.arg))
  if not ok then
    if host.interrupted() then K.abandon() end
    return false, values, trace or ""
  end
  if mode == "code" then return true, values[1], printed(values, is_expression), values.n end
  if mode ~= "cell" then return true, values[1] end
  if values[1] ~= nil then rawset(env, "_", values[1]) end
  return true, values[1], displayed(values)
end

-- What the last word of `text` could become: names of fields, and of methods after a colon.
function K.complete(text)
  local word = match(text, "[%w_%.:]+$") or ""
  local path, separator, start = match(word, "^(.-)([%.:]?)([%w_]*)$")
  local target = env
  for name in gmatch(path, "[%w_]+") do
    if type(target) ~= "table" then return {} end
    target = identity[target] and identity[target][3][name] or rawget(target, name)
  end
  local found = {}
  local function add(members, methods_only)
    for name, value in next, members do
      if type(name) == "string" and sub(name, 1, #start) == start and (not methods_only or type(value) == "function") then
        found[path .. separator .. name] = true
      end
    end
  end
  if type(target) ~= "table" then return {} end
  local own = identity[target]
  if own then
    add(kinds[own[1]] or {}, true)
    if separator ~= ":" then add(own[3]) end
  else
    add(target, separator == ":")
    if K.builders[target] then add(K.builders[target][3], true) end
    local meta = getmetatable(target)
    if type(meta) == "table" and type(meta.__index) == "table" then add(meta.__index, separator == ":") end
  end
  local list = {}
  for name in next, found do list[#list + 1] = name end
  sort(list)
  return list
end

for _, name in ipairs { "run", "dispatch", "settle", "complete" } do K[name] = K.entry(K[name]) end
