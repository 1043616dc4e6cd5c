-- `io` without descriptors: every file is read and written by the host, which asks the policy.
local K = ...
local host, env, getinfo, shown = K.host, K.env, K.getinfo, K.shown
local type, error, select, setmetatable, tonumber, tostring = type, error, select, setmetatable, tonumber, tostring
local find, sub, match, rep, concat, floor, unpack = string.find, string.sub, string.match, string.rep, table.concat, math.floor, K.unpack
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

-- A file that is written keeps its pieces until they are flushed (`pending`); one in which the script goes to and fro is kept
-- whole (`content`).
local function flush(own)
  if own.dirty then
    own.dirty = false
    return ask("File.write", own.path, own.content)
  end
  if own.pending and #own.pending > 0 then
    local text = concat(own.pending)
    own.pending, own.flushed = {}, true
    return ask("File.append", own.path, text)
  end
  return true
end

-- Makes `content` of what was written in pieces.
local function gather(own)
  if own.content then return true end
  local text = concat(own.pending)
  if own.append or own.flushed then
    local ok, problem = flush(own)
    if not ok then return nil, problem end
    ok, text = ask("File.read", own.path)
    if not ok then return nil, text end
  end
  own.content, own.position, own.pending, own.dirty = text, #text + 1, nil, not own.flushed
  return true
end

function K.flush_files()
  for handle in next, open_files do flush(state[handle]) end
end

-- `io.write` leaves out what is neither text nor number.
local function text_of(...)
  local parts = {}
  for i = 1, select("#", ...) do
    local value = (select(i, ...))
    if type(value) == "string" or type(value) == "number" then parts[#parts + 1] = tostring(value) end
  end
  return concat(parts)
end

-- What a value calls itself in messages, as the language's own functions have it.
local function kind_of(value)
  local meta = type(value) == "table" and getmetatable(value)
  local name = type(meta) == "table" and rawget(meta, "__name")
  return type(name) == "string" and name or type(value)
end

-- The methods of files refuse it, as the manual has it.
local function strict_text(...)
  for i = 1, select("#", ...) do
    local value = (select(i, ...))
    if type(value) ~= "string" and type(value) ~= "number" then
      error("bad argument #" .. i .. " to 'write' (string expected, got " .. kind_of(value) .. ")", 3)
    end
  end
  return text_of(...)
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

-- As long as it could be a number, at most 200 characters; what was read of something else is gone, too.
function readers.n(own)
  local content = own.content
  local start = find(content, "%S", own.position) or #content + 1
  local at = start
  local function take(set)
    local _, last = find(content, "^" .. set, at)
    if not last or last < at then return 0 end
    local count = last - at + 1
    at = last + 1
    return count
  end
  take("[+-]?")
  local hex = take("0[xX]") > 0
  local digits, mark = hex and "%x*" or "%d*", hex and "[pP]" or "[eE]"
  local count = take(digits)
  if take("%.") > 0 then count = count + take(digits) end
  if count > 0 and take(mark) > 0 then
    take("[+-]?")
    take("%d*")
  end
  own.position = at
  if at - start > 200 then return nil end
  return tonumber(sub(content, start, at - 1))
end

local function read_count(own, count)
  if own.position > #own.content then return nil end
  local text = sub(own.content, own.position, own.position + count - 1)
  own.position = own.position + #text
  return text
end

local function letter_of(what) return type(what) == "string" and match(what, "^%*?([alLn])") or nil end

local function read_rest(own, count, what, ...)
  if own.fill then own.fill(what) end
  local value
  if type(what) == "number" then value = read_count(own, floor(what)) else value = readers[letter_of(what)](own) end
  if count <= 1 or value == nil then return value end
  return value, read_rest(own, count - 1, ...)
end

local function read_values(own, ...)
  local count = select("#", ...)
  if count == 0 then return read_rest(own, 1, "l") end
  return read_rest(own, count, ...)
end

local function check_formats(name, ...)
  for i = 1, select("#", ...) do
    local what = (select(i, ...))
    if type(what) ~= "number" and not letter_of(what) then
      error("bad argument #" .. i .. " to '" .. name .. "' (invalid format)", 3)
    end
  end
end

-- What `for` gets: the values of one round, nothing more after the first round without a value.
local function rounds(own, read, ...)
  local formats = { n = select("#", ...), ... }
  return function()
    if own.closed then error("file is already closed", 2) end
    return read(unpack(formats, 1, formats.n))
  end
end

local UNREADABLE = "Bad file descriptor (the file is open for writing only)"

function file.read(self, ...)
  local own = own_of(self)
  check_formats("read", ...)
  if not own.reads then return nil, UNREADABLE, 9 end
  return read_values(own, ...)
end

function file.lines(self, ...)
  local own = own_of(self)
  check_formats("lines", ...)
  if not own.reads then error(UNREADABLE, 2) end
  return rounds(own, function(...) return read_values(own, ...) end, ...)
end

-- Writing -------------------------------------------------------------------------------------------------------------

function file.write(self, ...)
  local own = own_of(self)
  local text = strict_text(...)
  if not own.writes then return nil, "Bad file descriptor (the file is open for reading only)", 9 end
  if own.content then
    local at = own.append and #own.content + 1 or own.position
    if at > #own.content + 1 then own.content = own.content .. rep("\0", at - 1 - #own.content) end
    own.content = sub(own.content, 1, at - 1) .. text .. sub(own.content, at + #text)
    own.position, own.dirty = at + #text, true
  else
    own.pending[#own.pending + 1] = text
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
  if own.outcome then return unpack(own.outcome, 1, 3) end
  if not ok then return nil, problem, 5 end
  return true
end

function file.setvbuf(self)
  own_of(self)
  return true
end

function file.seek(self, whence, offset)
  local own = own_of(self)
  if whence == nil then whence = "cur" end
  if whence ~= "set" and whence ~= "cur" and whence ~= "end" then
    error("bad argument #1 to 'seek' (invalid option '" .. tostring(whence) .. "')", 2)
  end
  if offset ~= nil and (type(offset) ~= "number" or offset ~= floor(offset)) then
    error("bad argument #2 to 'seek' (an integer is expected)", 2)
  end
  if own.process then return nil, "Illegal seek", 29 end
  local ok, problem = gather(own)
  if not ok then return nil, problem, 5 end
  local base = whence == "set" and 0 or whence == "cur" and own.position - 1 or #own.content
  local place = base + floor(offset or 0)
  if place < 0 then return nil, "Invalid argument", 22 end
  own.position = place + 1
  return place
end

meta.__close = function(self)
  if not state[self].closed then file.close(self) end
end

-- io --------------------------------------------------------------------------------------------------------------------

local function new_file(own)
  local handle = setmetatable({}, meta)
  state[handle] = own
  if own.writes then open_files[handle] = true end
  return handle
end

local function reader(path, writes)
  local ok, content = ask("File.read", path)
  if not ok then return nil, content end
  return new_file({ path = path, content = content, position = 1, reads = true, writes = writes })
end

local function writer(op, path, append)
  local ok, problem = ask(op, path, "")
  if not ok then return nil, problem end
  return new_file({ path = path, pending = {}, writes = true, append = append, flushed = append })
end

local openers = {}
function openers.r(path) return reader(path, false) end
function openers.w(path) return writer("File.write", path, false) end
function openers.a(path) return writer("File.append", path, true) end
openers["r+"] = function(path) return reader(path, true) end

openers["w+"] = function(path)
  local ok, problem = ask("File.write", path, "")
  if not ok then return nil, problem end
  return new_file({ path = path, content = "", position = 1, reads = true, writes = true })
end

openers["a+"] = function(path)
  local ok, problem = ask("File.append", path, "")
  if not ok then return nil, problem end
  local handle
  handle, problem = reader(path, true)
  if handle then state[handle].append = true end
  return handle, problem
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

-- The standard streams ----------------------------------------------------------------------------------------------------

local streams = {}

local function refuse_close() return nil, "the standard streams cannot be closed" end

local function printer(stream)
  local sink = { flush = function(self) return self end, close = refuse_close, setvbuf = function() return true end }
  function sink.write(self, ...)
    host.write(stream, text_of(...))
    return self
  end
  function sink.seek() return nil, "Illegal seek", 29 end
  local handle = setmetatable({}, { __index = sink, __metatable = false, __name = "FILE*", __tostring = function() return "file" end })
  streams[handle] = sink
  return handle
end

io.stdout, io.stderr = printer("stdout"), printer("stderr")
local output, sinks = io.stdout, { [io.stdout] = true, [io.stderr] = true }

function io.write(...)
  if sinks[output] then
    streams[output].write(output, ...)
    return io
  end
  return file.write(output, ...)
end

function io.flush()
  if not sinks[output] then file.flush(output) end
  return io
end

if K.profile ~= "high" then
  function io.open(path, mode) return open(path, mode) end

  -- What is typed or piped into the program, as the host hands it over.
  local typed = { content = "", position = 1, reads = true }
  local function more()
    local ok, text = ask("Script.stdin")
    if not ok or text == nil then return false end
    typed.content, typed.position = sub(typed.content, typed.position) .. text, 1
    return true
  end

  function typed.fill(what)
    if letter_of(what) == "a" then
      while more() do end
    elseif type(what) == "number" then
      while #typed.content - typed.position + 1 < what and more() do end
    else
      while not find(typed.content, "\n", typed.position, true) and more() do end
      -- A number may stand behind empty lines.
      while letter_of(what) == "n" and not find(typed.content, "%S", typed.position) and more() do end
    end
  end

  local source = { close = refuse_close, setvbuf = function() return true end }
  function source.seek() return nil, "Illegal seek", 29 end
  function source.read(_, ...)
    check_formats("read", ...)
    return read_values(typed, ...)
  end
  function source.lines(_, ...)
    check_formats("lines", ...)
    return rounds(typed, function(...) return read_values(typed, ...) end, ...)
  end
  io.stdin = setmetatable({}, { __index = source, __metatable = false, __name = "FILE*", __tostring = function() return "file" end })
  streams[io.stdin] = source
  local input = io.stdin

  function io.read(...)
    check_formats("read", ...)
    local own = input == io.stdin and typed or own_of(input)
    return read_values(own, ...)
  end

  function io.lines(path, ...)
    check_formats("lines", ...)
    if path == nil then return input:lines(...) end
    local handle, problem = open(path, "r")
    if not handle then error(problem, 2) end
    local own, round = state[handle], file.lines(handle, ...)
    local function until_end(first, ...)
      if first == nil then file.close(handle) end
      return first, ...
    end
    return function()
      if own.closed then error("file is already closed", 2) end
      return until_end(round())
    end, nil, nil, handle
  end

  local function chosen(mode, current, set)
    return function(wanted)
      if wanted == nil then return current() end
      local handle = wanted
      if type(wanted) == "string" then
        local problem
        handle, problem = open(wanted, mode)
        if not handle then error(problem, 2) end
      elseif not state[wanted] and not streams[wanted] then
        error("bad argument #1 to '" .. (mode == "r" and "input" or "output") .. "' (FILE* expected, got " .. kind_of(wanted) .. ")", 2)
      end
      set(handle)
      return handle
    end
  end
  io.input = chosen("r", function() return input end, function(handle) input = handle end)
  io.output = chosen("w", function() return output end, function(handle) output = handle end)

  function io.close(handle)
    if handle == nil then handle = output end
    if streams[handle] then return refuse_close() end
    return file.close(handle)
  end
end

function io.type(value)
  if type(value) ~= "table" then return nil end
  local own = state[value]
  if own then return own.closed and "closed file" or "file" end
  return streams[value] and "file" or nil
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
    local outcome = { fine, how, code }
    return new_file({ path = command, content = found.stdout, position = 1, reads = true, process = true, outcome = outcome })
  end
end
