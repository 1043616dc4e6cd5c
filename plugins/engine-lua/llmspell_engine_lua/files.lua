-- `io` without descriptors: every file is read and written by the host, which asks the policy.
local K = ...
local host, env, getinfo, shown = K.host, K.env, K.getinfo, K.shown
local type, error, select, setmetatable, tonumber, tostring = type, error, select, setmetatable, tonumber, tostring
local find, sub, match, concat, floor = string.find, string.sub, string.match, table.concat, math.floor
local pairs, next = pairs, next

local open_files = {}
local state = setmetatable({}, { __mode = "k" })   -- file -> {path, content, position, pending, mode}
local file = {}
local meta = { __index = file, __metatable = false, __name = "FILE*" }
meta.__tostring = function(self) return state[self] and state[self].closed and "file (closed)" or "file" end

local function ask(op, ...)
  return host.file(op, ...)
end

local function own_of(self)
  local own = state[self]
  if not own then error("a file is expected; call its methods with a colon", 3) end
  if own.closed then error("attempt to use a closed file", 3) end
  return own
end

local function flush(own)
  if own.whole and own.dirty then
    own.dirty = false
    return ask("File.write", own.path, own.content)
  end
  if own.pending and #own.pending > 0 then
    local text = concat(own.pending)
    own.pending = {}
    return ask("File.append", own.path, text)
  end
  return true
end

function K.flush_files()
  for handle in next, open_files do flush(state[handle]) end
end

local function text_of(...)
  local parts = {}
  for i = 1, select("#", ...) do
    local value = (select(i, ...))
    if type(value) == "string" or type(value) == "number" then parts[#parts + 1] = tostring(value) end
  end
  return concat(parts)
end

-- Reading -------------------------------------------------------------------------------------------------------------

local readers = {}

function readers.a(own)
  local text = sub(own.content, own.position)
  own.position = #own.content + 1
  return text
end

local function line(own, keep)
  if own.position > #own.content then return nil end
  local stop = find(own.content, "\n", own.position, true)
  local text = sub(own.content, own.position, (stop or #own.content + 1) - (keep and stop and 0 or 1))
  own.position = (stop or #own.content) + 1
  return text
end

function readers.l(own) return line(own, false) end
function readers.L(own) return line(own, true) end

function readers.n(own)
  local first, last = find(own.content, "^%s*[%+%-]?[%w%.]+", own.position)
  if not first then return nil end
  own.position = last + 1
  return tonumber((match(sub(own.content, first, last), "^%s*(.*)$")))
end

local function read_count(own, count)
  if own.position > #own.content then return nil end
  local text = sub(own.content, own.position, own.position + count - 1)
  own.position = own.position + #text
  return text
end

local function read_one(own, what)
  if type(what) == "number" then return read_count(own, floor(what)) end
  local letter = type(what) == "string" and match(what, "^%*?([alLn])")
  if not letter then error("bad argument to 'read' (invalid format)", 4) end
  return readers[letter](own)
end

local function read_values(own, count, what, ...)
  if count == 0 then return read_one(own, "l") end
  if count == 1 then return read_one(own, what) end
  local value = read_one(own, what)
  if value == nil then return nil end
  return value, read_values(own, count - 1, ...)
end

function file.read(self, ...)
  local own = own_of(self)
  if not own.content then return nil, "the file is open for writing only", 9 end
  return read_values(own, select("#", ...), ...)
end

function file.lines(self, what)
  own_of(self)
  return function()
    return (file.read(self, what or "l"))
  end
end

-- Writing -------------------------------------------------------------------------------------------------------------

function file.write(self, ...)
  local own = own_of(self)
  local text = text_of(...)
  if own.whole then
    own.content = sub(own.content, 1, own.position - 1) .. text .. sub(own.content, own.position + #text)
    own.position, own.dirty = own.position + #text, true
  elseif own.pending then
    own.pending[#own.pending + 1] = text
    own.size = own.size + #text
  else
    return nil, "the file is open for reading only", 9
  end
  return self
end

function file.flush(self)
  local ok, problem = flush(own_of(self))
  if not ok then return nil, problem, 5 end
  return self
end

function file.close(self)
  local own = own_of(self)
  local ok, problem = flush(own)
  own.closed, own.content = true, nil
  open_files[self] = nil
  if own.outcome then return K.unpack(own.outcome, 1, 3) end
  if not ok then return nil, problem, 5 end
  return true
end

function file.setvbuf() return true end

function file.seek(self, whence, offset)
  local own = own_of(self)
  offset = floor(offset or 0)
  if not own.content then return own.size end
  local bases = { set = 0, cur = own.position - 1, ["end"] = #own.content }
  local base = bases[whence or "cur"]
  if not base then error("bad argument #1 to 'seek' (invalid option '" .. tostring(whence) .. "')", 2) end
  if base + offset < 0 then return nil, "Invalid argument", 22 end
  own.position = base + offset + 1
  return base + offset
end

meta.__close = function(self)
  if not state[self].closed then file.close(self) end
end

-- io --------------------------------------------------------------------------------------------------------------------

local function new_file(own)
  local handle = setmetatable({}, meta)
  state[handle] = own
  if own.pending or own.whole then open_files[handle] = true end
  return handle
end

local openers = {}

function openers.r(path)
  local ok, content = ask("File.read", path)
  if not ok then return nil, content end
  return new_file({ path = path, content = content, position = 1 })
end

function openers.w(path)
  local ok, problem = ask("File.write", path, "")
  if not ok then return nil, problem end
  return new_file({ path = path, pending = {}, size = 0 })
end

function openers.a(path)
  local ok, problem = ask("File.append", path, "")
  if not ok then return nil, problem end
  return new_file({ path = path, pending = {}, size = 0 })
end

local function update(path, content, position)
  return new_file({ path = path, content = content, position = position, whole = true })
end

openers["r+"] = function(path)
  local ok, content = ask("File.read", path)
  if not ok then return nil, content end
  return update(path, content, 1)
end

openers["w+"] = function(path)
  local ok, problem = ask("File.write", path, "")
  if not ok then return nil, problem end
  return update(path, "", 1)
end

openers["a+"] = function(path)
  local ok, content = ask("File.read", path)
  if not ok then content = "" end
  return update(path, content, #content + 1)
end

local function open(path, mode)
  if type(path) ~= "string" then error("bad argument #1 to 'open' (string expected, got " .. type(path) .. ")", 3) end
  local opener = openers[match(mode or "r", "^([rwa]%+?)b?$")]
  if not opener then error("bad argument #2 to 'open' (invalid mode)", 3) end
  local handle, problem = opener(path)
  if not handle then return nil, path .. ": " .. problem, 2 end
  return handle
end

local io = {}
env.io = io

local function printer(stream)
  local sink = {}
  function sink.write(self, ...)
    host.write(stream, text_of(...))
    return self
  end
  function sink.flush(self) return self end
  function sink.close() return nil, "the standard streams cannot be closed" end
  function sink.setvbuf() return true end
  return setmetatable({}, { __index = sink, __metatable = false, __name = "FILE*", __tostring = function() return "file" end })
end

io.stdout, io.stderr = printer("stdout"), printer("stderr")

function io.write(...)
  host.write("stdout", text_of(...))
  return io
end

function io.flush() return io end

if K.profile ~= "high" then
  function io.open(path, mode) return open(path, mode) end

  function io.lines(path, what)
    local handle, problem = open(path, "r")
    if not handle then error(problem, 2) end
    return file.lines(handle, what)
  end

  function io.close(handle) return file.close(handle) end
  -- What is typed or piped into the program, as the host hands it over.
  local input = { content = "", position = 1 }
  local function more()
    local ok, text = ask("Script.stdin")
    if not ok or text == nil then return false end
    input.content, input.position = sub(input.content, input.position) .. text, 1
    return true
  end

  function io.read(what, ...)
    local letter = type(what) == "string" and match(what, "^%*?(%a)") or what or "l"
    if letter == "a" then
      while more() do end
    elseif type(letter) == "number" then
      while #input.content - input.position + 1 < letter and more() do end
    elseif not find(input.content, "\n", input.position, true) then
      while not find(input.content, "\n", input.position, true) and more() do end
    end
    return read_values(input, what == nil and 0 or 1 + select("#", ...), what, ...)
  end

  io.stdin = setmetatable({}, { __index = {
    read = function(_, ...) return io.read(...) end,
    lines = function(_, what) return function() return (io.read(what or "l")) end end,
    close = function() return nil, "the standard streams cannot be closed" end,
  }, __metatable = false, __name = "FILE*" })
end

function io.type(value)
  local own = state[value]
  if own then return own.closed and "closed file" or "file" end
  return (value == io.stdout or value == io.stderr or (io.stdin and value == io.stdin)) and "file" or nil
end

if K.profile == "low" then
  local function operation(op)
    return function(...)
      local ok, problem = ask(op, ...)
      if not ok then return nil, problem, 1 end
      return true
    end
  end
  env.os.remove, env.os.rename = operation("File.remove"), operation("File.rename")

  -- The program has ended when this returns; what it printed is then read as a file is.
  function io.popen(command, mode)
    if mode ~= nil and mode ~= "r" then error("bad argument #2 to 'popen' (only 'r' is available)", 2) end
    local found, problem, fine, how, code = K.execute("popen", command)
    if not found then return nil, command .. ": " .. problem, code end
    if found.stderr ~= "" then host.write("stderr", found.stderr) end
    return new_file({ path = command, content = found.stdout, position = 1, outcome = { fine, how, code } })
  end
end
