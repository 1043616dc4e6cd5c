"""The script global `Streaming`: values produced one by one inside the script. Pure VM code."""

from __future__ import annotations

from llmspell_core.script.declare import Function, Global, Param

LUA = """
local G, vm = ...
local create, resume, status, yield = coroutine.create, coroutine.resume, coroutine.status, coroutine.yield
local remove, error, type, setmetatable = table.remove, error, type, setmetatable

local methods = {}
local state = setmetatable({}, { __mode = "k" })
local meta = { __index = methods, __metatable = false, __call = function(self) return self:next() end }

local function own_of(stream)
  local own = state[stream]
  if not own then error("streams have methods; call them with a colon", 3) end
  return own
end

local function pulled(own)
  if status(own.body) == "dead" then return nil end
  local ok, value = resume(own.body)
  if not ok then error(value, 0) end
  return value
end

function methods.next(stream)
  local own = own_of(stream)
  if own.body then return pulled(own) end
  local queue = own.queue
  if own.first > own.last then return nil end
  local value = queue[own.first]
  queue[own.first], own.first = nil, own.first + 1
  return value
end

function methods.is_done(stream)
  local own = own_of(stream)
  if own.body then return status(own.body) == "dead" end
  return own.closed and own.first > own.last
end

function methods.collect(stream)
  local all = {}
  local own = own_of(stream)
  while not methods.is_done(stream) do
    local ok, value = pcall(methods.next, stream)
    if not ok then break end
    if value ~= nil then all[#all + 1] = value elseif not own.body then break end
  end
  return all
end

function methods.push(stream, value)
  local own = own_of(stream)
  if not own.queue then error("push is for streams that were created without a function", 2) end
  if own.closed then error("the stream is closed", 2) end
  own.last = own.last + 1
  own.queue[own.last] = value
end

function methods.close(stream)
  local own = own_of(stream)
  own.closed = true
  if own.body then own.body = create(function() end) resume(own.body) end
end

methods.isDone = methods.is_done

function G.create(fn)
  local stream = setmetatable({}, meta)
  vm.opaque[stream] = "stream"
  if fn == nil then
    state[stream] = { queue = {}, first = 1, last = 0 }
  elseif type(fn) == "function" then
    state[stream] = { body = create(fn) }
  else
    error("Streaming.create: a function is expected, got " .. type(fn), 2)
  end
  return stream
end

G["yield"] = yield
"""

JAVASCRIPT = """
class Stream {
  #source; #queue = []; #closed = false; #started = false; #done = false; #asynchronous = false;
  constructor(fn) {
    vm.opaque(this, "stream");
    if (fn === undefined || fn === null) return;
    if (typeof fn !== "function") throw new TypeError(`Streaming.create: a function is expected, got ${typeof fn}`);
    this.#source = fn();
    this.#asynchronous = this.#source?.[Symbol.asyncIterator] !== undefined;
    if (typeof this.#source?.next !== "function") throw new TypeError("Streaming.create: a generator function is expected");
  }
  #take(step) {
    if (step.done) this.#done = true;
    return step.value === undefined ? null : step.value;
  }
  next() {
    if (!this.#source) return this.#queue.length > 0 ? this.#queue.shift() : null;
    if (this.#done) return null;
    this.#started = true;
    if (!this.#asynchronous) {
      try { return this.#take(this.#source.next()); } catch (error) { this.#done = true; throw error; }
    }
    return this.#source.next().then((step) => this.#take(step), (error) => { this.#done = true; throw error; });
  }
  push(value) {
    if (this.#source) throw new Error("push is for streams that were created without a function");
    if (this.#closed) throw new Error("the stream is closed");
    this.#queue.push(value);
  }
  close() { this.#closed = true; if (this.#source) this.#done = true; }
  is_done() { return this.#source ? this.#done : this.#closed && this.#queue.length === 0; }
  isDone() { return this.is_done(); }
  collect() {
    const all = [];
    const keep = (value) => { if (value !== null) all.push(value); };
    if (this.#asynchronous) {
      return (async () => {
        try { while (!this.#done) keep(await this.next()); } catch { return all; }
        return all;
      })();
    }
    try {
      while (!this.is_done() && (this.#source || this.#queue.length > 0)) keep(this.next());
    } catch { return all; }
    return all;
  }
  *[Symbol.iterator]() { while (!this.is_done()) { const v = this.next(); if (v === null) return; yield v; } }
  async *[Symbol.asyncIterator]() { while (!this.is_done()) { const v = await this.next(); if (v === null) return; yield v; } }
}
G.create = (fn) => new Stream(fn);
G.yield = (value) => value;
"""

GLOBAL = Global(
    "Streaming",
    doc="Values that a script produces one by one.",
    functions=(
        Function(
            "create",
            None,
            (
                Param(
                    "fn", "function", required=False, doc="Lua: runs as a coroutine. JavaScript: a (async) generator."
                ),
            ),
            doc="A stream of what `fn` yields; without `fn`, one that is filled with push(value) and ended with close().",
        ),
        Function("yield", None, (Param("value"),), doc="Lua: hands out the next value, as coroutine.yield does."),
    ),
    sources={"lua": LUA, "javascript": JAVASCRIPT},
)
