-- The globals, built from the manifest (see ScriptApi.manifest). All that a declaration says is data here.
local K = ...
local host, env, getinfo, unpack = K.host, K.env, K.getinfo, K.unpack
local type, error, select, pairs, ipairs, next, setmetatable, rawset = type, error, select, pairs, ipairs, next, setmetatable, rawset
local floor, tostring, concat, getmetatable = math.floor, tostring, table.concat, getmetatable
local find, gsub, lower, rawget, rawequal = string.find, string.gsub, string.lower, rawget, rawequal
local raise = K.raise

-- Raises an error of ours about how something was called; `level` as for `error`.
local function misuse(message, level)
  host.note(message, "validation")
  error(message, level + 1)
end
K.misuse = misuse

-- `Tool:execute(...)`: the global itself came as the first argument.
local function with_colon(label)
  misuse(label .. " is a function: call it with a dot, as in " .. label .. "(...), not with a colon", 3)
end

-- Callbacks: the function stays here, the host knows a number ---------------------------------------------------------

local callbacks, callback_ids, callback_count = {}, {}, 0

function K.keep(fn)
  local id = callback_ids[fn]
  if not id then
    callback_count = callback_count + 1
    id = callback_count
    callbacks[id], callback_ids[fn] = fn, id
  end
  return id
end

function K.kept(id) return callbacks[id] end

-- The last line of a callback's traceback: a callback that ends in `return f()` leaves no other.
local function defined_at(fn)
  local info = getinfo(fn, "S")
  return "\n\t" .. info.short_src .. ":" .. info.linedefined .. ": in a callback"
end

function K.dispatch(id, args, count)
  local fn = callbacks[id]
  if not fn then return false, "there is no callback " .. tostring(id), "" end
  local ok, value, trace = K.protected(fn, unpack(args, 1, count))
  if not ok then trace = trace .. defined_at(fn) end
  return ok, value, trace -- always three: a function may return nothing
end

-- Views: what an answer says twice has crossed once, and is completed here by reference --------------------------------

local function inside(value, path, count)
  for i = 1, count do value = value[path[i]] end
  return value
end

local function flatten(value, envelope)
  for key, item in next, envelope do
    if key ~= "metadata" and value[key] == nil then value[key] = item end
  end
  local problem = value.error
  if type(problem) == "table" then value.error, value.error_details = problem.message, problem end
end

function K.complete_view(value, view, envelope)
  if envelope ~= nil then value.metadata.response = envelope end
  if view.flat then flatten(value, value.metadata.response) end
  for _, same in ipairs(view.same) do
    local to, from = same[1], same[2]
    local target, name = inside(value, to, #to - 1), to[#to]
    if target[name] == nil then target[name] = inside(value, from, #from) end
  end
  return value
end

-- Functions -----------------------------------------------------------------------------------------------------------

local function here(above)
  local info = getinfo(3 + (above or 0), "l")
  return info and info.currentline or 0
end

local function make_function(op, target)
  return function(...)
    if rawequal((...), target) then with_colon(op) end
    local ok, value = host.call(op, here(), ...)
    if ok then return value end
    raise(value, 2)
  end
end

local function make_post(op, target)
  return function(...)
    if rawequal((...), target) then with_colon(op) end
    local ok, problem = host.post(op, ...)
    if not ok then error(problem, 2) end
  end
end

-- `wrapAsTool` is `wrap_as_tool`: a name in camelCase is looked for in the other spelling when it is not there itself.
local function respelled(target, key)
  if type(key) ~= "string" or not find(key, "%l%u") then return nil end
  return rawget(target, lower((gsub(key, "(%l)(%u)", "%1_%2"))))
end
local spelling_meta = { __index = respelled, __metatable = false }

local function install(target, spec, value)
  for _, name in ipairs(spec.names) do
    if target[name] == nil then target[name] = value end
  end
end

-- Lua 5.1 counts a tail call as a level, and errors would lose the place of the call.
local COUNTS_TAIL_CALLS = _VERSION == "Lua 5.1" and not jit

-- A function that is not ours to write, with the same check.
local function dotted(label, target, fn)
  if COUNTS_TAIL_CALLS then return fn end
  return function(...)
    if rawequal((...), target) then with_colon(label) end
    return fn(...)
  end
end

-- The functions that the source of a global has made or replaced.
local function guard(target, spec, before)
  for _, declared in ipairs(spec.functions) do
    for _, name in ipairs(declared.names) do
      local own = rawget(target, name)
      if type(own) == "function" and own ~= before[name] then target[name] = dotted(spec.name .. "." .. declared.name, target, own) end
    end
  end
end

local function add_functions(target, specs)
  for _, spec in ipairs(specs) do
    if not spec.vm then
      install(target, spec, spec.post and make_post(spec.op, target) or make_function(spec.op, target))
      if spec["async"] then
        for _, name in ipairs(spec.names) do
          target[name .. "_async"] = target[name .. "_async"] or dotted(spec.op .. "_async", target, K.make_async(spec.op, spec.params, 0))
        end
      end
    end
  end
end

-- Handles: empty tables whose identity is the object; fields and methods are behind the metatable ----------------------

local kinds, known = {}, {}
local identity = setmetatable({}, { __mode = "k" })   -- table -> {kind, id, fields}
local arrays = setmetatable({}, { __mode = "k" })
local opaque = setmetatable({}, { __mode = "k" })     -- builders, tasks, streams -> "builder", "task", "stream"
K.arrays, K.opaque = arrays, opaque
K.named = setmetatable({}, { __mode = "k" })           -- globals and their parts -> how they are called

function K.special(value)
  local size = arrays[value]
  if size then return size == true and 0 or size end
  return identity[value] or opaque[value]
end

-- Marks what stands at the path in `value` as a list of `size`: an empty one, or one with nil in it.
function K.mark(value, size, ...)
  for i = 1, select("#", ...) do value = value[(select(i, ...))] end
  arrays[value] = size
end

local function make_method(kind, method)
  local label = kind .. ":" .. method.name
  return function(self, ...)
    local own = identity[self]
    if not own or own[1] ~= kind then misuse(label .. " is a method; call it with a colon", 2) end
    local ok, value = host.call(method.op, here(), own[2], ...)
    if ok then return value end
    raise(value, 2)
  end
end

local function make_async_method(kind, method)
  local start = K.make_async(method.op, method.params, 1)
  return function(self, ...)
    local own = identity[self]
    if not own or own[1] ~= kind then misuse(kind .. ":" .. method.name .. " is a method; call it with a colon", 2) end
    return start(own[2], ...)
  end
end

local function define_kind(name, spec)
  local methods = {}
  for _, method in ipairs(spec.methods) do
    if not method.vm then
      install(methods, method, make_method(name, method))
      if method["async"] then
        local start = make_async_method(name, method)
        for _, spelling in ipairs(method.names) do methods[spelling .. "_async"] = methods[spelling .. "_async"] or start end
      end
    end
  end
  kinds[name] = setmetatable(methods, spelling_meta)
  known[name] = setmetatable({}, { __mode = "v" })
end
K.kinds, K.identity = kinds, identity

-- `object.method(args)` works like `object:method(args)`: existing scripts write both.
local function bind(object, method)
  return function(first, ...)
    if first == object then return method(object, ...) end
    return method(object, first, ...)
  end
end

local function look_up(object, key)
  local own = identity[object]
  local value = own[3][key]
  if value ~= nil then return value end
  local method = kinds[own[1]] and kinds[own[1]][key]
  if method then
    local bound = bind(object, method)
    own[4][key] = bound
    return bound
  end
end

local function handle_next(object, key)
  return next(identity[object][3], key)
end

local handle_meta = {
  __index = function(object, key) return identity[object][4][key] or look_up(object, key) end,
  __newindex = function(object, key, value) identity[object][3][key] = value end,
  __pairs = function(object) return handle_next, object, nil end,
  __metatable = false,
}
local stream_meta = {}
for key, value in next, handle_meta do stream_meta[key] = value end
stream_meta.__call = function(self) return self:next() end

function K.handle(kind, id, fields)
  local found = known[kind] and known[kind][id]
  if found then
    for key, value in next, fields do identity[found][3][key] = value end
    return found
  end
  local object = setmetatable({}, kind == "Stream" and stream_meta or handle_meta)
  identity[object] = { kind, id, fields, {} }
  if known[kind] then known[kind][id] = object end
  return object
end

-- Builders: plain data until `build` -----------------------------------------------------------------------------------

local article = { string = "a string", integer = "an integer", number = "a number", boolean = "a boolean",
  object = "a table with named fields", array = "a list", ["function"] = "a function", handle = "an object" }

local function fits(param, value)
  local kind = param.type
  if kind == "any" then return true end
  if kind == "integer" then return type(value) == "number" and value == floor(value) end
  if kind == "object" or kind == "array" then return type(value) == "table" end
  if kind == "handle" then return identity[value] ~= nil end
  return type(value) == kind
end

local function wrong(label, param, value)
  if value == nil then
    if param.required and param.type ~= "any" then return label .. ": '" .. param.name .. "' is required" end
  elseif not fits(param, value) then
    return label .. ": '" .. param.name .. "' must be " .. article[param.type] .. ", got " .. type(value)
  elseif #param.choices > 0 then
    for _, choice in ipairs(param.choices) do
      if choice == value then return nil end
    end
    return label .. ": '" .. param.name .. "' must be one of " .. concat(param.choices, ", ") .. ", got '" .. tostring(value) .. "'"
  end
end

local function taken(label, params, ...)
  local values = {}
  for i, param in ipairs(params) do
    local value = (select(i, ...))
    local problem = wrong(label, param, value)
    if problem then misuse(problem, 3) end
    if value == nil then value = param.default end
    values[param.name] = value
  end
  return values
end

K.builders = setmetatable({}, { __mode = "k" }) -- builder -> {label, fields, methods}: for a console

local store = {}
function store.set(fields, name, value) fields[name] = value end
function store.append(fields, name, value)
  fields[name] = fields[name] or {}
  fields[name][#fields[name] + 1] = value
end
function store.merge(fields, name, value)
  local target = fields
  if name ~= nil then
    fields[name] = fields[name] or {}
    target = fields[name]
  end
  for key, item in next, value do target[key] = item end
end

local function make_setter(label, setter, state)
  local params, put, field = setter.params, store[setter.mode], setter.field
  return function(self, ...)
    local fields = state[self]
    if not fields then misuse(label .. " is a method of a builder; call it with a colon", 2) end
    local values = taken(label, params, ...)
    if #params == 0 then
      put(fields, field, setter.value == nil and true or setter.value)
    elseif #params == 1 then
      put(fields, field, values[params[1].name])
    else
      put(fields, field, values)
    end
    return self
  end
end

local function make_builder(path, builder, target)
  local label = path .. "." .. builder.name
  local state = setmetatable({}, { __mode = "k" })
  local methods = {}
  for _, setter in ipairs(builder.setters) do
    install(methods, setter, make_setter(label .. "():" .. setter.name, setter, state))
  end
  install(methods, builder.build, function(self)
    local fields = state[self]
    if not fields then misuse(label .. "():build is a method of a builder; call it with a colon", 2) end
    local ok, value = host.call(builder.build.op, here(), fields)
    if ok then return value end
    raise(value, 2)
  end)
  setmetatable(methods, spelling_meta)
  local meta = { __index = methods, __metatable = false }
  return function(...)
    if rawequal((...), target) then with_colon(label) end
    local values = taken(label, builder.params, ...)
    local object = setmetatable({}, meta)
    state[object], opaque[object] = values, "builder"
    K.builders[object] = { label, values, methods }
    return object
  end
end

-- Globals ---------------------------------------------------------------------------------------------------------------

local function make_global(spec, path)
  local target = {}
  K.named[target] = path
  for name, value in pairs(spec.constants) do target[name] = value end
  add_functions(target, spec.functions)
  for _, builder in ipairs(spec.builders) do install(target, builder, make_builder(path, builder, target)) end
  for _, sub in ipairs(spec.subglobals) do target[sub.name] = make_global(sub, path .. "." .. sub.name) end
  if spec.index then
    local read = make_function(spec.index.op, {})
    setmetatable(target, { __index = function(_, key)
      local known = respelled(target, key)
      if known == nil and type(key) == "string" then return read(key) end
      return known
    end })
  else
    setmetatable(target, spelling_meta)
  end
  return target
end

local function run_source(spec, target)
  local chunk, problem = load(spec.source, "=[llmspell] " .. spec.name, "t")
  if not chunk then error(problem, 0) end
  chunk(target, K.vm)
end

function K.install(manifest)
  for name, spec in pairs(manifest.handles) do define_kind(name, spec) end
  define_kind("Stream", { methods = {} })
  K.define_streams()
  for _, spec in ipairs(manifest.globals) do
    if not spec.hidden then
      local target = make_global(spec, spec.name)
      if spec.source then
        local before = {}
        for name, value in next, target do before[name] = value end
        run_source(spec, target)
        guard(target, spec, before)
      end
      env[spec.name] = target
      for _, alias in ipairs(spec.aliases) do env[alias] = target end
    end
  end
end

-- Streams: `for chunk in stream do`, stream:next(), stream:collect(), stream:is_done(), stream:close() --------------------

function K.define_streams()
  local methods = kinds.Stream
  local done = setmetatable({}, { __mode = "k" })
  local function ask(self, op, above)
    local own = identity[self]
    if not own or own[1] ~= "Stream" then misuse("streams have methods; call them with a colon", 2 + above) end
    local ok, value = host.call(op, here(above), own[2])
    if not ok then raise(value, 2 + above) end
    return value
  end
  local function pull(self, above)
    local piece = ask(self, "Stream#next", above)
    if piece.done then done[self] = true end
    return piece.value
  end
  function methods.next(self)
    local piece = pull(self, 2)
    return piece
  end
  function methods.collect(self)
    local all, piece = {}, pull(self, 2)
    while piece ~= nil do
      all[#all + 1] = piece
      piece = pull(self, 2)
    end
    return all
  end
  function methods.is_done(self) return done[self] == true end
  function methods.close(self)
    done[self] = true
    ask(self, "Stream#close", 1)
  end
  methods.isDone = methods.is_done
end
