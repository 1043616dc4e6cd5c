-- The parts of the language that reach code or the machine, as the manual describes them: `load`, `require`, `package`, `debug`,
-- `collectgarbage`. What is left out on purpose is in the documentation, each with what to use instead.
local K = ...
local host, env, profile, unpack = K.host, K.env, K.profile, K.unpack
local getinfo, traceback, compiled, compile, original = K.getinfo, K.traceback, K.compiled, K.compile, K.original
local type, error, select, next, tostring, pcall, load = type, error, select, next, tostring, pcall, load
local floor, concat = math.floor, table.concat
local byte, find, format, gmatch, gsub, match, sub = string.byte, string.find, string.format, string.gmatch, string.gsub, string.match, string.sub

-- Code --------------------------------------------------------------------------------------------------------------

local BINARY = "attempt to load a binary chunk (mode is 't')"

-- A reader whose first piece shows whether it is text; precompiled code can break out of any VM.
local function text_only(source)
  local begun = false
  return function()
    local piece = source()
    if not begun and type(piece) == "string" and piece ~= "" then
      begun = true
      if byte(piece) == 27 then error(BINARY, 0) end
    end
    return piece
  end
end

local function load_text(source, name, mode, ...)
  local kind = type(source)
  if kind ~= "string" and kind ~= "function" and kind ~= "number" then
    local made = original("load", load, source, name, mode, ...)
    return made
  end
  if kind ~= "function" then source = tostring(source) end
  if mode ~= nil and not find(mode, "t", 1, true) then return nil, "attempt to load a text chunk (mode is '" .. mode .. "')" end
  if kind ~= "function" and byte(source) == 27 then return nil, BINARY end
  local scope = env
  if select("#", ...) > 0 then scope = (...) end
  if kind == "function" then return compiled(text_only(source), name or "=(load)", scope) end
  return compiled(source, name or source, scope)
end

local function fetch(op, ...)
  local ok, found = host.call(op, getinfo(3, "l").currentline, ...)
  if not ok then return nil, found end
  return found
end

if profile ~= "high" then
  env.load = load_text
  env.loadstring = loadstring and function(source, name) return load_text(source, name) end

  function env.loadfile(path, mode, ...)
    if type(path) ~= "string" then error("bad argument #1 to 'loadfile' (string expected, got " .. type(path) .. ")", 2) end
    local found, problem = fetch("Script.source", path)
    if not found then return nil, problem end
    if mode ~= nil and not find(mode, "t", 1, true) then return nil, "attempt to load a text chunk (mode is '" .. mode .. "')" end
    local scope = env
    if select("#", ...) > 0 then scope = (...) end
    return compile(found.source, found.name, scope)
  end

  function env.dofile(path)
    if type(path) ~= "string" then error("bad argument #1 to 'dofile' (string expected, got " .. type(path) .. ")", 2) end
    local found, problem = fetch("Script.source", path)
    if not found then error(problem, 2) end
    local chunk, wrong = compile(found.source, found.name)
    if not chunk then error(wrong, 0) end
    return chunk()
  end
end

-- Modules -----------------------------------------------------------------------------------------------------------

if profile ~= "high" then
  local loaded, loading = { _G = env }, {}
  local PATH = "./?.lua;./?/init.lua"
  local package = { loaded = loaded, preload = {}, path = PATH, cpath = "", config = "/\n;\n?\n!\n-\n" }
  env.package, loaded.package = package, package

  function K.list_libraries()
    for _, name in next, { "string", "table", "math", "coroutine", "utf8", "bit", "os", "io", "debug" } do loaded[name] = env[name] end
  end

  -- Where a script has added places to `package.path`, below its own folder, they come after the usual ones.
  local function searched(name)
    local line = getinfo(3, "l").currentline
    local ok, found = host.call("Script.module", line, name)
    if ok or type(package.path) ~= "string" or package.path == PATH then return ok, found end
    local path = gsub(name, "%.", "/")
    for template in gmatch(package.path, "[^;]+") do
      local place = match(template, "^%.?/?(.-)%.lua$") or match(template, "^%.?/?(.*)$")
      if find(place, "?", 1, true) and place ~= "?" and place ~= "?/init" then
        local other, module = host.call("Script.module", line, (gsub(place, "%?", (gsub(path, "%%", "%%%%")))))
        if other then return other, module end
      end
    end
    return ok, found
  end

  local function loader_of(name)
    local ready = type(package.preload) == "table" and package.preload[name]
    if ready then return ready, ":preload:" end
    local ok, found = searched(name)
    if not ok then error(found, 3) end
    local chunk, wrong = compile(found.source, found.name)
    if not chunk then error(wrong, 0) end
    return chunk, found.name
  end

  function env.require(name)
    if type(name) == "number" then name = tostring(name) end
    if type(name) ~= "string" then error("bad argument #1 to 'require' (string expected, got " .. type(name) .. ")", 2) end
    if loaded[name] then return loaded[name] end
    if loading[name] then error("module '" .. name .. "' requires itself", 2) end
    local chunk, place = loader_of(name)
    loading[name] = true
    local ok, value = pcall(chunk, name, place)
    loading[name] = nil
    if not ok then error(value, 0) end
    if value ~= nil then loaded[name] = value
    elseif loaded[name] == nil then loaded[name] = true end
    return loaded[name], place
  end
end

-- What scripts may see of themselves --------------------------------------------------------------------------------

local debug = {}
env.debug = debug

local function is_ours(info) return find(info.short_src, "[llmspell]", 1, true) ~= nil end

-- The level of the real library for `level` as the script counts it, where 1 is whoever called us; nil: there is none.
local function real_level(level)
  local seen, at = 0, 2 -- of this function, the one of ours that called it, and so on
  while true do
    at = at + 1
    local info = getinfo(at, "S")
    if not info then return nil end
    if not is_ours(info) then
      seen = seen + 1
      if seen == level then return at - 1 end
    end
  end
end

function debug.traceback(...)
  local first, message, level = ...
  local thread = type(first) == "thread" and first or nil
  if not thread then message, level = first, message end
  if message ~= nil and type(message) ~= "string" and type(message) ~= "number" then return message end
  if level ~= nil and type(level) ~= "number" then error("bad argument #" .. (thread and 3 or 2) .. " to 'traceback' (number expected, got " .. type(level) .. ")", 2) end
  local text
  if thread then
    text = traceback(thread, "", level)
  else
    local real = real_level(level == nil and 1 or level)
    if level == 0 then real = 1 end
    text = real and traceback("", real) or "\nstack traceback:"
  end
  local lines = K.own_lines(text)
  return message ~= nil and message .. "\n" .. lines or lines
end

local FIELDS = { "source", "short_src", "what", "currentline", "linedefined", "lastlinedefined", "name", "namewhat", "nups", "nparams",
  "isvararg", "istailcall", "activelines", "ftransfer", "ntransfer" }

-- No functions of others: some of them are the engine's.
local function shared(info, func)
  local found = {}
  for _, name in next, FIELDS do found[name] = info[name] end
  found.func = func
  return found
end

function debug.getinfo(...)
  local first, target, what = ...
  local thread = type(first) == "thread" and first or nil
  if not thread then target, what = first, target end
  if what ~= nil and (type(what) ~= "string" or find(what, "^>") or find(what, "[^SlnrutLf]")) then
    error("bad argument #" .. (thread and 3 or 2) .. " to 'getinfo' (invalid option)", 2)
  end
  local options = what == nil and "SlnutL" or (gsub(what, "f", ""))
  if not pcall(getinfo, 1, options) then options = gsub(options, "[rt]", "") end -- earlier versions
  if type(target) == "function" then
    local info = getinfo(target, options)
    return shared(info, (what == nil or find(what, "f", 1, true)) and target or nil)
  end
  if type(target) ~= "number" then error("bad argument #" .. (thread and 2 or 1) .. " to 'getinfo' (function or level expected)", 2) end
  if target < 0 then return nil end
  local info
  if thread then
    info = getinfo(thread, floor(target), options)
  elseif target < 1 then
    info = getinfo(1, options)
    info.what, info.short_src, info.source, info.currentline = "C", "[C]", "=[C]", -1
  else
    local real = real_level(floor(target))
    info = real and getinfo(real, options)
  end
  return info and shared(info) or nil
end

-- Memory ------------------------------------------------------------------------------------------------------------
-- The collector always runs, since the limit of memory counts on it; what a script asks of it is remembered and answered.

K.vm.collections = 0
local collectgarbage = collectgarbage
local setting = { running = true, mode = "incremental", setpause = 200, setstepmul = 100 }

local function collected(how)
  K.vm.collections = K.vm.collections + 1
  return collectgarbage(how)
end

local options = {}
function options.collect() return collected("collect") end
function options.count() return collectgarbage("count") end
function options.step() return collected("step") end
function options.isrunning() return setting.running end
function options.stop()
  setting.running = false
  return 0
end
function options.restart()
  setting.running = true
  return 0
end
for _, name in next, { "setpause", "setstepmul" } do
  options[name] = function(value)
    local before = setting[name]
    setting[name] = floor(value or 0)
    return before
  end
end
for _, name in next, { "incremental", "generational" } do
  options[name] = function()
    local before = setting.mode
    setting.mode = name
    return before
  end
end
local PARAMETERS = { minormul = 20, majorminor = 50, minormajor = 70, pause = 200, stepmul = 200, stepsize = 9600 }
function options.param(name, value)
  local before = PARAMETERS[name]
  if not before then error("bad argument #2 to 'collectgarbage' (invalid option '" .. tostring(name) .. "')", 3) end
  if value ~= nil then PARAMETERS[name] = floor(value) end
  return before
end

function env.collectgarbage(what, ...)
  if what == nil then what = "collect" end
  local option = options[what]
  if not option then
    if type(what) ~= "string" then error("bad argument #1 to 'collectgarbage' (string expected, got " .. type(what) .. ")", 2) end
    error("bad argument #1 to 'collectgarbage' (invalid option '" .. what .. "')", 2)
  end
  return option(...)
end
K.used_bytes = function() return floor(collectgarbage("count") * 1024) end

-- The operating system ----------------------------------------------------------------------------------------------

-- There is one locale here, that of C.
function env.os.setlocale(locale)
  if locale == nil or locale == "" or locale == "C" or locale == "POSIX" then return "C" end
  return nil
end
