-- Calls that do not wait: `agent:execute_async(input)` returns a task.
--   task:await(timeout_ms?)  task:and_then(fn)  task:catch(fn)  task:finally(fn)  task:is_done()  task:cancel()
-- Functions given to a task run while the script waits for the host, and at the latest when it ends.
local K = ...
local host, getinfo, unpack = K.host, K.getinfo, K.unpack
local type, error, select, setmetatable, tostring, ipairs, rawequal = type, error, select, setmetatable, tostring, ipairs, rawequal
local next, getmetatable = next, getmetatable
local raise = K.raise

local tasks = {}                                       -- call id -> task, while it is open
local state = setmetatable({}, { __mode = "k" })       -- task -> {status, value, listeners, id, seen}
local failures = {}                                    -- failed tasks that nobody has looked at
local methods = {}
local meta = { __metatable = false }

function meta.__index(_, key)
  local method = methods[key]
  if method ~= nil or type(key) ~= "string" then return method end
  K.misuse("a task has no '" .. key .. "': what it is for has to come first; write task:await()." .. key, 2)
end
K.pending = 0                                          -- open tasks that somebody listens to

local function new_task(id)
  local task = setmetatable({}, meta)
  state[task] = { status = "pending", listeners = {}, id = id }
  K.opaque[task] = "task"
  return task
end

local function settle(task, status, value)
  local own = state[task]
  if own.status ~= "pending" then return end
  own.status, own.value = status, value
  if status == "failed" and #own.listeners == 0 then failures[task] = true end
  if #own.listeners > 0 then K.pending = K.pending - 1 end
  for _, listener in ipairs(own.listeners) do listener(status, value) end
  own.listeners = {}
end

local function listen(task, listener)
  local own = state[task]
  failures[task] = nil
  if own.status ~= "pending" then return listener(own.status, own.value) end
  if #own.listeners == 0 then K.pending = K.pending + 1 end
  own.listeners[#own.listeners + 1] = listener
end

local function check(task, name)
  local own = state[task]
  if not own then K.misuse("task:" .. name .. " is a method; call it with a colon", 3) end
  return own
end

-- Called by the engine when the host has answered a started call.
function K.settle(id, ok, value)
  local task = tasks[id]
  tasks[id] = nil
  if task then settle(task, ok and "done" or "failed", value) end
end

local function adopt(task, status, value)
  if status == "done" and type(value) == "table" and state[value] then
    listen(value, function(...) settle(task, ...) end)
  else
    settle(task, status, value)
  end
end

-- A task that becomes what `fn` makes of this one; `wants`: the status that `fn` is for.
local function derive(task, wants, fn)
  local derived = new_task()
  listen(task, function(status, value)
    if status ~= wants or type(fn) ~= "function" then return settle(derived, status, value) end
    local ok, result = K.protected(fn, value)
    adopt(derived, ok and "done" or "failed", result)
  end)
  return derived
end

function methods.and_then(task, fn, on_error)
  check(task, "and_then")
  local derived = derive(task, "done", fn)
  return on_error and derive(derived, "failed", on_error) or derived
end

function methods.catch(task, fn)
  check(task, "catch")
  return derive(task, "failed", fn)
end

function methods.finally(task, fn)
  check(task, "finally")
  local derived = new_task()
  listen(task, function(status, value)
    local ok, problem = K.protected(fn)
    if ok then settle(derived, status, value) else settle(derived, "failed", problem) end
  end)
  return derived
end

function methods.is_done(task) return check(task, "is_done").status ~= "pending" end

function methods.cancel(task)
  local own = check(task, "cancel")
  if own.status ~= "pending" then return false end
  if own.id then
    tasks[own.id] = nil
    host.cancel(own.id)
  end
  settle(task, "failed", "cancelled")
  failures[task] = nil
  return true
end

-- Waits until `finished()`; returns "timeout", "stuck" (nothing is under way) or an error message, or nil.
local function wait_until(finished, timeout_ms)
  local left = timeout_ms
  while not finished() do
    if not next(tasks) and left == nil then return "stuck" end
    local outcome
    outcome, left = host.step(left)
    if outcome ~= "ok" then return outcome end
  end
end

local function is_number(value) return type(value) == "number" and value == value end

function methods.await(task, timeout_ms)
  local own = check(task, "await")
  if timeout_ms ~= nil and not is_number(timeout_ms) then error("await: milliseconds are expected", 2) end
  local problem = wait_until(function() return own.status ~= "pending" end, timeout_ms)
  if problem == "timeout" then error("await: no result within " .. tostring(timeout_ms) .. " ms", 2) end
  if problem == "stuck" then error("await: this task can never be done", 2) end
  if problem then error(problem, 2) end
  failures[task] = nil
  if own.status == "failed" then raise(own.value, 2) end
  return own.value
end

-- What a script returned; a task is awaited.
function K.result(value)
  while state[value] do
    local own = state[value]
    local problem = wait_until(function() return own.status ~= "pending" end)
    if problem then error(problem == "stuck" and "the returned task can never be done" or problem, 0) end
    failures[value] = nil
    if own.status == "failed" then error(own.value, 0) end
    value = own.value
  end
  return value
end

methods["then"] = methods.and_then
methods.andThen, methods.isDone = methods.and_then, methods.is_done

-- Makes the `_async` form of a function. A function given last, where the declaration has no place for one, is called
-- with (result, error). `offset`: arguments before the declared ones (a method's object).
function K.make_async(op, params, offset)
  return function(...)
    local info = getinfo(2, "l")
    local given = select("#", ...)
    local callback = given > 0 and (select(given, ...)) or nil
    local place = params[given - offset]
    if type(callback) ~= "function" or (place and place.type == "function") then
      callback = nil
    else
      given = given - 1
    end
    local ok, id = host.start(op, info and info.currentline or 0, given, ...)
    if not ok then error(id, 2) end
    local task = new_task(id)
    tasks[id] = task
    if callback then
      listen(task, function(status, value)
        local fine, problem
        if status == "done" then fine, problem = K.protected(callback, value, nil)
        else fine, problem = K.protected(callback, nil, value) end
        if not fine then host.write("stderr", "error in a callback: " .. problem .. "\n") end
      end)
    end
    return task
  end
end

-- The end of a run: what somebody listens to is waited for; failures that nobody saw are told.
function K.drain()
  local problem = wait_until(function() return K.pending <= 0 end)
  for task in next, failures do
    host.write("stderr", "unhandled error: " .. tostring(state[task].value) .. "\n")
    failures[task] = nil
  end
  if problem and problem ~= "stuck" then error(problem, 0) end
end

-- After an interrupt: nothing that was under way comes back.
function K.abandon()
  for id in next, tasks do
    tasks[id] = nil
    host.cancel(id)
  end
  for task in next, failures do failures[task] = nil end
  K.pending = 0
end

local Async = {}

local function each(list, name)
  if type(list) ~= "table" then error("Async." .. name .. ": a list of tasks is expected, got " .. type(list), 3) end
  return ipairs(list)
end

-- Waits for all; returns the list of results, or raises the first error.
function Async.all(list)
  local results = {}
  for i, item in each(list, "all") do
    if state[item] then
      local problem = wait_until(function() return state[item].status ~= "pending" end)
      if problem then error(problem == "stuck" and "Async.all: a task can never be done" or problem, 2) end
      failures[item] = nil
      if state[item].status == "failed" then raise(state[item].value, 2) end
      results[i] = state[item].value
    else
      results[i] = item
    end
  end
  return results
end

-- Waits for all; returns a list of {status = "fulfilled", value = ...} or {status = "rejected", reason = ...}.
function Async.all_settled(list)
  local results = {}
  for i, item in each(list, "all_settled") do
    wait_until(function() return not state[item] or state[item].status ~= "pending" end)
    failures[item] = nil
    local own = state[item] or { status = "done", value = item }
    results[i] = own.status == "done" and { status = "fulfilled", value = own.value }
      or { status = "rejected", reason = own.value }
  end
  return results
end

-- Waits for the first that is done; returns its result, or raises its error.
function Async.race(list)
  local first
  local problem = wait_until(function()
    for _, item in each(list, "race") do
      if not state[item] or state[item].status ~= "pending" then
        first = item
        return true
      end
    end
  end)
  if problem then error(problem == "stuck" and "Async.race: no task can ever be done" or problem, 2) end
  local own = state[first]
  if not own then return first end
  failures[first] = nil
  if own.status == "failed" then raise(own.value, 2) end
  return own.value
end

-- Waits; callbacks are served meanwhile.
function Async.sleep(ms)
  if not is_number(ms) then error("Async.sleep: milliseconds are expected", 2) end
  local problem = wait_until(function() return false end, ms)
  if problem ~= "timeout" then error(problem, 2) end
end

Async.allSettled = Async.all_settled
K.vm.async = Async
