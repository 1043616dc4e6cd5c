-- The world a script lives in: its own environment, and the parts of the standard library its profile allows.
-- Called as a chunk with K, the table that the chunks of this engine share. Whatever is used after user code ran is
-- captured here: a script may change the library tables it sees.
local K = ...
local host, profile = K.host, K.profile
local getinfo, traceback, sethook = debug.getinfo, debug.traceback, debug.sethook
local type, error, select, pairs, next, tostring, setmetatable = type, error, select, pairs, next, tostring, setmetatable
local getmetatable, rawget, rawset, load, pcall, xpcall = getmetatable, rawget, rawset, load, pcall, xpcall
local floor, huge, mathtype = math.floor, math.huge, math.type
local concat, unpack, format, sub, gsub, match = table.concat, table.unpack or unpack, string.format, string.sub, string.gsub, string.match
local real_setmetatable, getreal = setmetatable, debug.getmetatable

K.getinfo, K.traceback, K.unpack, K.getreal = getinfo, traceback, unpack, getreal

-- The border --------------------------------------------------------------------------------------------------------
-- When Lua has no memory left for something, it jumps out of whatever C code asked for it. Over Python's code it must never
-- jump: that would end with a lock that nobody gives back. So the memory limit holds only while Lua code runs; it is lifted
-- before Python is entered, and what Python hands over has been weighed by then (memory.py).

-- Nor does code of the script run then: its finalizers wait.

local lift, lower, count = host.lift, host.lower, collectgarbage
local lifted, waiting = false, nil

local function finalize(guard)
  local finalizer = rawget(guard.meta, "__gc")
  if type(finalizer) == "function" then pcall(finalizer, guard.object) end
end

local function finalize_waiting()
  local guard = waiting
  waiting = nil
  while guard do
    finalize(guard)
    guard = guard.before
  end
end

local function back(...)
  lower()
  lifted = false
  if waiting then finalize_waiting() end
  return ...
end

local function out(...)
  lift()
  lifted = true
  return ...
end

function K.lifted() lifted = true end

-- A text that Python could not even take is refused here; texts in tables are looked at there.
local function fits(count, first, ...)
  if count == 0 then return true end
  if type(first) == "string" and #first > K.max_text then return false end
  return fits(count - 1, ...)
end

local function too_large(...)
  for i = 1, select("#", ...) do
    local value = (select(i, ...))
    if type(value) == "string" and #value > K.max_text then
      return "a text of " .. #value .. " bytes cannot be handed over; " .. K.max_text .. " is the most"
    end
  end
end

-- LuaJIT keeps no limit: it may not enter Python with less room than Python needs.
local function check_room()
  if count("count") * 1024 > K.soft_limit then
    count("collect")
    if count("count") * 1024 > K.soft_limit then error("not enough memory", 3) end
  end
end

local function crossing(raw)
  if not K.max_text then -- no text of this VM can be too large
    return function(...)
      lift()
      lifted = true
      return back(raw(...))
    end
  end
  return function(...)
    if not fits(select("#", ...), ...) then return false, too_large(...) end
    if K.soft_limit then check_room() end
    lift()
    lifted = true
    return back(raw(...))
  end
end

for _, functions in next, { host, K.vm } do
  for name, raw in next, functions do
    if raw ~= lift and raw ~= lower then functions[name] = crossing(raw) end
  end
end

-- What Python calls: the limit holds inside.
function K.entry(body)
  return function(...)
    lower()
    lifted = false
    return out(body(...))
  end
end

local env = {}
K.env = env
for _, name in next, { "assert", "error", "getmetatable", "ipairs", "next", "pairs", "pcall", "rawequal", "rawget", "rawlen",
  "rawset", "select", "setmetatable", "tonumber", "tostring", "type", "xpcall", "_VERSION" } do
  env[name] = _G[name]
end
env._G = env

-- A finalizer is called by the collector, whatever is under way. The script's belong to objects of ours that end with its own.
local guards = real_setmetatable({}, { __mode = "k" }) -- object of the script -> {object, meta}
local guard_meta = {
  __gc = function(guard)
    if not lifted then return finalize(guard) end
    guard.before, waiting = waiting, guard
  end,
}

function env.setmetatable(object, meta)
  local finalizer = nil
  if type(meta) == "table" then finalizer = rawget(meta, "__gc") end
  if finalizer == nil then return setmetatable(object, meta) end -- Lua calls no finalizer that comes later
  rawset(meta, "__gc", nil)
  local ok, problem = pcall(setmetatable, object, meta)
  rawset(meta, "__gc", finalizer)
  if not ok then error(problem, 2) end
  guards[object] = real_setmetatable({ object = object, meta = meta }, guard_meta)
  return object
end

for _, name in next, { "string", "table", "math", "coroutine", "utf8", "bit" } do -- the last one is LuaJIT's
  env[name] = _G[name]
end
do -- what 5.4 has only where it is built to be compatible; scripts still use it
  local m, exp, log = math, math.exp, math.log
  m.pow = m.pow or function(x, y) return x ^ y end
  m.log10 = m.log10 or function(x) return log(x, 10) end
  m.ldexp = m.ldexp or function(x, e) return x * 2.0 ^ e end
  m.cosh = m.cosh or function(x) return (exp(x) + exp(-x)) / 2 end
  m.sinh = m.sinh or function(x) return (exp(x) - exp(-x)) / 2 end
  m.tanh = m.tanh or function(x) return 1 - 2 / (exp(2 * x) + 1) end
end
env.unpack = not table.unpack and unpack or nil
string.dump = nil
getmetatable("").__metatable = false

-- Output ------------------------------------------------------------------------------------------------------------

local function shown(value)
  local kind = type(value)
  if kind == "string" then return value end
  if kind == "number" then
    if mathtype and mathtype(value) == "float" and value == floor(value) and value <= 9007199254740992 and value >= -9007199254740992 then
      return format("%d", value)
    end
    return tostring(value)
  end
  if kind == "table" then
    local meta = getreal(value)
    if type(meta) == "table" and rawget(meta, "__tostring") then return tostring(value) end
    return K.show(value)
  end
  if kind == "nil" or kind == "boolean" then return tostring(value) end
  return kind
end
K.shown = shown

local write, PIECE = host.write, 1048576

-- In pieces: Python need not hold a large text as a whole.
function host.write(stream, text)
  for i = 1, #text, PIECE do write(stream, #text <= PIECE and text or sub(text, i, i + PIECE - 1)) end
end

function env.print(...)
  local parts = { ... }
  for i = 1, select("#", ...) do parts[i] = shown(parts[i]) end
  host.write("stdout", concat(parts, "\t") .. "\n")
end

-- Code --------------------------------------------------------------------------------------------------------------

-- Short chunk names, as Lua writes them into messages -> the names the host knows.
K.chunks = {}

-- What our handler of errors has made of them.
K.handled = setmetatable({}, { __mode = "k" })

local function short_name(name)
  return getinfo(load("", "@" .. name), "S").short_src
end

-- Raises an error of the host's with the place of the call; if it comes from a callback, its own place is in it already.
function K.raise(problem, level)
  local short = type(problem) == "string" and match(problem, "^(.-):%d+: ")
  error(problem, short and K.chunks[short] and 0 or level + 1)
end

-- `return f()` at the end of a chunk replaces the chunk by f, and nobody could say any more in which line f was called.
-- In the scope of a variable that has to be closed Lua makes no such tail call.
local ONLY_CALLS = "local __llmspell_chunk <close> = nil "
if not load(ONLY_CALLS, "=", "t") then ONLY_CALLS = "" end

-- `load` as it should be: code that is nested too deeply makes it hand its message to the handler below.
local function compiled(text, name, environment)
  local chunk, problem = load(text, name, "t", environment)
  if type(problem) == "table" and K.handled[problem] then problem = problem[1] end
  return chunk, problem
end

K.compiled = compiled

function K.compile(source, name, environment)
  local text = sub(source, 1, 1) == "#" and "--" .. source or source
  host.remember(name, source)
  K.chunks[short_name(name)] = name
  local chunk = load(ONLY_CALLS .. text, "@" .. name, "t", environment or env)
  if chunk then return chunk end
  return compiled(text, "@" .. name, environment or env) -- the message must not know of our variable
end

-- The operating system ----------------------------------------------------------------------------------------------

env.os = { time = os.time, date = os.date, clock = os.clock, difftime = os.difftime }

function env.os.exit(code)
  if code == nil or code == true then code = 0 elseif code == false then code = 1 end
  if type(code) ~= "number" then error("bad argument #1 to 'exit' (number expected)", 2) end
  if not (code > -2 ^ 53 and code < 2 ^ 53) then error("bad argument #1 to 'exit' (number has no integer representation)", 2) end
  K.flush_files()
  host.exit(floor(code))
end

if profile ~= "high" then
  function env.os.getenv(name)
    local ok, value = host.call("Script.getenv", getinfo(2, "l").currentline, name)
    if not ok then error(value, 2) end
    return value
  end

  function env.os.execute(command)
    if command == nil then return false end
    host.write("stderr", "os.execute does nothing under this security profile; the profile low lets it start what tools.system.allowed_commands names\n")
    return nil, "exit", 1
  end
end

if profile == "low" then
  -- The host runs the command, if the policy lets it start a shell. Returns what it printed, and how it ended as Lua says it.
  function K.execute(name, command)
    if type(command) ~= "string" then error("bad argument #1 to '" .. name .. "' (string expected)", 3) end
    local ok, found = host.call("Script.execute", getinfo(3, "l").currentline, command)
    if not ok then return nil, found, nil, "exit", 1 end
    local code = found.exit_code
    return found, nil, code == 0 or nil, code < 0 and "signal" or "exit", code < 0 and -code or code
  end

  function env.os.execute(command)
    if command == nil then return (host.call("Script.execute", 0, "exit 0")) end
    local found, problem, fine, how, code = K.execute("execute", command)
    if not found then
      host.write("stderr", "os.execute: " .. problem .. ". " .. host.advice() .. "\n")
    else
      if found.stdout ~= "" then host.write("stdout", found.stdout) end
      if found.stderr ~= "" then host.write("stderr", found.stderr) end
    end
    return fine, how, code
  end
end

-- Has the language itself refuse what it was given, and its message say the line of the script.
function K.original(name, body, ...)
  local ok, problem = pcall(body, ...)
  if ok then return problem end
  if type(problem) == "string" then problem = gsub(problem, "to '%?'", "to '" .. name .. "'") end
  error(problem, 3)
end

-- Interrupts (interactive sessions only: the hook costs) --------------------------------------------------------------

K.arm = function() sethook() end
if K.interactive then
  local interval = 997 -- a prime: a loop in step with the collector would meet the hook in finalizers only, where it is off
  local function hook()
    if not lifted and host.interrupted() then error("interrupted", 0) end
  end
  local calm, running = host.calm, coroutine.running
  K.arm = function()
    sethook(hook, "", interval)
    local thread, is_main = running()
    if calm and is_main then calm(format("%p", thread)) end
  end
  local create, wrap = coroutine.create, coroutine.wrap
  local function armed(body)
    return function(...)
      K.arm()
      return body(...)
    end
  end
  function coroutine.create(body, ...)
    if type(body) == "function" then return create(armed(body)) end
    local made = K.original("create", create, body, ...) -- no tail call: the level of its message counts this function
    return made
  end
  function coroutine.wrap(body, ...)
    if type(body) == "function" then return wrap(armed(body)) end
    local made = K.original("wrap", wrap, body, ...)
    return made
  end
  -- An interrupt is not a failure that a script may handle.
  local function rethrow(ok, ...)
    if not ok and host.interrupted() then error("interrupted", 0) end
    return ok, ...
  end
  function env.pcall(...) return rethrow(pcall(...)) end
  -- While the hook raises its error there are no hooks: a handler that never ends could not be interrupted.
  function env.xpcall(body, handle, ...)
    if type(handle) ~= "function" then return xpcall(body, handle, ...) end
    return rethrow(xpcall(body, function(problem)
      if host.interrupted() then return problem end
      return handle(problem)
    end, ...))
  end
end

-- Recursion without an end --------------------------------------------------------------------------------------------
-- Lua's own limit, a million slots, may need more memory than a script has, and running out of memory leaves neither line
-- nor traceback. Before the stack grows Lua 5.4 looks whether there is garbage; an object that is garbage in every cycle then
-- looks how deep the calls are. That costs nothing as long as nothing is collected.

if K.max_depth and ONLY_CALLS ~= "" then
  local meta, falling, place = {}, false, nil
  local function tidy()
    K.arm()
    collectgarbage()
  end
  local function overflow()
    if not getinfo(K.max_depth, "l") then
      -- The memory ended just then, with the calls; what comes next is told of it (see `finish`).
      K.fell = place and place.short_src .. ":" .. place.currentline .. ": stack overflow"
      return K.arm()
    end
    -- The collector now takes so much memory for normal and would come too late the next time.
    falling = true
    sethook(tidy, "", 997)
    error("stack overflow", 2)
  end
  function meta.__gc()
    -- A finalizer cannot raise into the code that it interrupts; a hook that runs next can.
    -- One is enough: what handles it does so while the calls are still there.
    if not getinfo(K.max_depth, "l") then
      falling, K.fell = false, nil
    elseif not falling then
      place = getinfo(2, "Sl")
      sethook(overflow, "", 1)
    end
    real_setmetatable({}, meta)
  end
  real_setmetatable({}, meta)
end

-- Errors ------------------------------------------------------------------------------------------------------------

local MOST = 10000 -- bytes of a message; more of it helps nobody

local function shortened(text)
  if #text <= MOST then return text end
  return sub(text, 1, MOST) .. "... (" .. #text .. " bytes in all)"
end

local function described(problem)
  if type(problem) == "string" then
    -- `error("")` says nothing, or nothing but where.
    local empty = problem == "" or #problem < 1000 and match(problem, "^[^\n]-:%d+: ?$")
    return empty and problem .. "an error without a message" or shortened(problem)
  end
  if type(problem) == "number" then return tostring(problem) end
  if type(problem) == "table" then
    local meta = getreal(problem)
    if type(meta) == "table" and rawget(meta, "__tostring") then
      local ok, text = pcall(tostring, problem)
      if ok and type(text) == "string" and text ~= "" then return shortened(text) end
    end
    local message = rawget(problem, "message") or rawget(problem, "error")
    if type(message) == "string" and message ~= "" then
      message = shortened(message)
      host.note(message, rawget(problem, "code"), rawget(problem, "type"), rawget(problem, "hint"), rawget(problem, "retryable"))
      return message
    end
    return "an error object (a table without 'message')"
  end
  return "an error object (a " .. type(problem) .. " value)"
end
K.described = described

local gmatch, find = string.gmatch, string.find

local function own_lines(text)
  local kept, ours = {}, false
  for line in gmatch(text, "[^\n]+") do
    local follows = ours and find(line, "tail calls", 1, true) -- of ours, not of the script
    ours = find(line, "[llmspell]", 1, true) ~= nil
    if not ours and not follows and not match(line, "^%s*%[C%]: in %?$")
      and not match(line, "^%s*%[C%]: in function 'xpcall'$") then kept[#kept + 1] = line end
  end
  return concat(kept, "\n")
end
K.own_lines = own_lines

local function handler(problem)
  local found = { described(problem), traceback("", 2) }
  K.handled[found] = true
  return found
end

local function finish(ok, ...)
  if ok then return true, ... end
  local first, fell = ..., K.fell
  K.fell = nil
  if type(first) ~= "table" then return false, fell or described(first), "" end
  return false, first[1], own_lines(first[2])
end

-- Calls `body(...)`; returns true, values... or false, message, traceback.
function K.protected(body, ...)
  return finish(xpcall(body, handler, ...))
end
