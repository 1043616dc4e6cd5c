-- Scripts that want to keep the host. Each begins at a line "--- kind: name" and is a file of its own.
-- Most of them would never end; what the host refuses, a script tries again.

--- vm: a loop that catches its end
while true do pcall(function() while true do end end) end

--- vm: a pattern that backtracks
while true do (("a"):rep(1000)):find(("a-"):rep(30) .. "b") end

--- vm: giant texts
while true do pcall(function() return ("x"):rep(8000000):upper():reverse():gsub("X", "y") end) end

--- vm: a comparison without an order
local list = {}
for i = 1, 200000 do list[i] = i % 7 end
while true do pcall(table.sort, list, function() return true end) end

--- vm: a value that is read without an end
local endless = setmetatable({}, {__index = function(_, key) return key end, __len = function() return 1000000000 end,
  __pairs = function() return function(_, n) return (n or 0) + 1, 1 end end})
while true do
  pcall(JSON.stringify, endless)
  pcall(State.set, "x", endless)
  pcall(JSON.query, endless, ".")
end

--- vm: a text that is made without an end
local value = setmetatable({}, {__tostring = function() while true do end end})
while true do pcall(print, value) end

--- vm: source text
while true do pcall(load, "return " .. ("("):rep(100000)) pcall(load, "return " .. ("1+"):rep(100000) .. "1") end

--- vm: coroutines in coroutines
local function deep() return coroutine.wrap(deep)() end
while true do pcall(deep) coroutine.wrap(function() while true do coroutine.yield() end end)() end

--- finalizer: collected
for i = 1, 100 do setmetatable({}, {__gc = function() while true do end end}) end
collectgarbage()
while true do collectgarbage() end

--- finalizer: at the end
setmetatable({}, {__gc = function() while true do end end})
local hold <close> = setmetatable({}, {__close = function() while true do end end})

--- finalizer: closed by an error
while true do
  pcall(function()
    local hold <close> = setmetatable({}, {__close = function() while true do end end})
    error("x")
  end)
end

--- end: an error that does not become a text
error(setmetatable({}, {__tostring = function() while true do end end, __index = function() while true do end end}))

--- end: a result that does not become a value
return setmetatable({}, {__index = function(_, key) return key end, __len = function() return 1000000000 end,
  __pairs = function() return function(_, n) return (n or 0) + 1, 1 end end})

--- end: a result that is not printed in time
local list = {}
for i = 1, 300000 do list[i] = {n = i} end
return list, (function() while true do end end)()

--- wait: a sleep
Async.sleep(1000000000)

--- wait: an event that does not come
local id = Event.subscribe("never")
while true do pcall(Event.receive, id, 1000000000) end

--- wait: standard input
while true do io.read("a") Async.sleep(1000) end

--- wait: standard input as a file
while true do pcall(dofile, "/dev/stdin") pcall(io.open, "/dev/stdin") end

--- wait: a file without an end
while true do
  pcall(Tool.execute, "file-operations", {operation = "read", path = "/dev/zero"})
  pcall(Tool.execute, "hash-calculator", {operation = "hash", input_type = "file", file = "/dev/zero"})
  pcall(Tool.execute, "base64-encoder", {operation = "encode", input_file = "/dev/zero"})
  pcall(function() for line in io.lines("/dev/zero") do end end)
  pcall(require, "/dev/zero")
end

--- wait: programs
while true do pcall(os.execute, "sleep 100") pcall(function() return io.popen("yes"):read("a") end) Async.sleep(1) end

--- wait: tasks without a number
while true do
  pcall(function()
    local tasks = {}
    for i = 1, 20000 do tasks[i] = Tool.execute_async("calculator", {input = "1"}) end
    Async.all(tasks)
  end)
end

--- output: lines
while true do print(("x"):rep(100)) end

--- output: one giant line
while true do pcall(print, ("x\n"):rep(4000000)) end

--- output: the other stream
while true do io.stderr:write(("y"):rep(10000), "\n") end

--- output: the log
while true do Debug.error(("e"):rep(10000), ("m"):rep(10000), {list = {1, 2, 3}}) Logger.warn("x") end

--- output: errors
while true do pcall(error, ("e"):rep(1000000)) pcall(Tool.execute, ("x"):rep(100000), {}) end

--- callbacks: a tool that does not return
Tool.create({name = "stuck", description = "x", handler = function() while true do end end})
while true do pcall(Tool.execute, "stuck", {}) end

--- callbacks: a hook that does not return
Hook.register("BeforeToolExecution", function() while true do end end)
while true do pcall(Tool.execute, "calculator", {input = "1"}) end

--- callbacks: a hook that sleeps
for i = 1, 50 do Hook.register("BeforeToolExecution", function() Async.sleep(100000) end) end
while true do pcall(Tool.execute, "calculator", {input = "1"}) end

--- callbacks: a hook that calls what it hooks
Hook.register("BeforeToolExecution", function() pcall(Tool.execute, "calculator", {input = "1"}) end)
while true do pcall(Tool.execute, "calculator", {input = "1"}) end

--- callbacks: many hooks
for i = 1, 2000 do pcall(Hook.register, "BeforeToolExecution", function() return true end) end
while true do pcall(Tool.execute, "calculator", {input = "1"}) end

--- callbacks: an event that makes events
Event.subscribe("*", function() for i = 1, 100 do Event.publish("again", i) end end)
while true do Event.publish("first", 1) end

--- callbacks: a step that does not return
Workflow.sequential({name = "w", steps = {{name = "s", type = "function",
  ["function"] = function() while true do end end}}}):execute({})

--- callbacks: a condition that does not return
while true do
  pcall(function()
    Workflow.builder():name("l"):loop():loop_condition(function() while true do end end)
      :add_step({name = "s", tool = "calculator", input = {input = "1"}}):build():execute({})
  end)
end

--- callbacks: a stream that does not end
local stream = Streaming.create(function() while true do Streaming.yield(1) end end)
while true do stream:next() end

--- loop: 10^8 tool calls
Workflow.loop({name = "l", iterator = {range = {start = 1, ["end"] = 100000000}},
  body = {{name = "s", tool = "calculator", input = {expression = "1+1"}}}}):execute({})

--- loop: 10^8 conditions
Workflow.loop({name = "l", iterator = {range = {start = 1, ["end"] = 100000000}},
  body = {{name = "s", tool = "calculator", condition = "never", input = {expression = "1"}}}}):execute({})

--- loop: a range without a step
for _, step in ipairs({0, -1, 1e-300}) do
  pcall(function()
    Workflow.loop({name = "l", iterator = {range = {start = 0, ["end"] = 1e300, step = step}},
      body = {{name = "s", tool = "calculator", input = {expression = "1"}}}}):execute({})
  end)
end
while true do end

--- loop: while something holds
Workflow.loop({name = "l", iterator = {while_condition = "1 == 1"}, max_iterations = 1000000000,
  body = {{name = "s", tool = "calculator", input = {expression = "1"}}}}):execute({})
while true do end

--- loop: 20,000 steps at once
while true do
  local branches = {}
  for i = 1, 20000 do branches[i] = {name = "s" .. i, type = "tool", tool = "calculator", input = {expression = "1+1"}} end
  pcall(function() Workflow.parallel({name = "p", branches = branches, max_concurrency = 20000}):execute({}) end)
end

--- loop: 20,000 steps in a row
while true do
  local steps = {}
  for i = 1, 20000 do steps[i] = {name = "s" .. i, tool = "calculator", input = {expression = "{{s" .. (i - 1) .. "}}"}} end
  pcall(function() Workflow.sequential({name = "p", steps = steps}):execute({}) end)
end

--- loop: targets
while true do
  local targets = {}
  for i = 1, 20000 do targets[i] = {name = "t" .. i, tool = "calculator", input = {expression = "1"}} end
  pcall(function() Workflow.fan_out({name = "f", targets = targets, input = "1", join = "all"}):execute({}) end)
end

--- loop: branches
while true do
  local branches = {}
  for i = 1, 20000 do branches[i] = {name = "b" .. i, condition = "x == " .. i, steps = {{name = "s", tool = "calculator"}}} end
  pcall(function() Workflow.conditional({name = "c", branches = branches}):execute({}) end)
end

--- loop: a map over many items
while true do
  local items = {}
  for i = 1, 300000 do items[i] = i end
  pcall(function()
    Workflow.map_reduce({name = "m", items = items, max_concurrency = 100000,
      map_step = {tool = "calculator", input = {expression = "{{current_item}}"}}}):execute({})
  end)
end

--- loop: workflows in workflows
local inner = Workflow.loop({name = "w0", iterator = {range = {start = 1, ["end"] = 100}},
  body = {{name = "s", tool = "calculator", input = {expression = "1"}}}})
for i = 1, 8 do
  inner = Workflow.loop({name = "w" .. i, iterator = {range = {start = 1, ["end"] = 100}},
    body = {{name = "s", workflow = inner}}})
end
while true do pcall(function() inner:execute({}) end) end

--- loop: placeholders
local text = ("{{x}}"):rep(2000)
while true do
  pcall(function()
    Workflow.sequential({name = "p", steps = {{name = "s", tool = "text-manipulator",
      input = {operation = "uppercase", input = text}}}}):execute({x = ("y"):rep(100000)})
  end)
end

--- loop: a condition of many parts
while true do
  pcall(function()
    Workflow.conditional({name = "c", branches = {{name = "b", condition = ("not "):rep(20000) .. "x",
      steps = {{name = "s", tool = "calculator"}}}}}):execute({})
  end)
  pcall(function()
    Workflow.conditional({name = "c", branches = {{name = "b", condition = ("1 == 1 and "):rep(50000) .. "x == 1",
      steps = {{name = "s", tool = "calculator"}}}}}):execute({x = 2})
  end)
end

--- globals: metrics
for i = 1, 10000 do pcall(Metrics.increment, "m" .. i, 1, {a = tostring(i)}) end
for i = 1, 20000 do pcall(Metrics.histogram, "h", i) end
while true do Metrics.snapshot() Metrics.get("h") Metrics.list() end

--- globals: state
while true do
  for i = 1, 1000 do pcall(State.set, "k" .. i, {list = {1, 2, 3}, text = ("x"):rep(1000)}) end
  pcall(State.all) pcall(State.keys) pcall(State.list_keys, "global")
end

--- globals: configuration
while true do
  pcall(Config.snapshot) pcall(Config.get_all) pcall(Config.list) pcall(Config.set, "hooks.timeout_ms", 1000000)
  pcall(Config.get, ("a."):rep(100000))
end

--- globals: timers
for i = 1, 100 do local timer = Debug.timer("t" .. i) for j = 1, 100 do pcall(timer.lap, timer, "l" .. j) end end
while true do Debug.performanceReport() Debug.jsonReport() Debug.flameGraph() Debug.memorySnapshot() end

--- globals: subscriptions
for i = 1, 1000 do Event.subscribe(("**a*"):rep(60) .. i) end
for i = 1, 1e9 do Event.publish(("a"):rep(240) .. i, 1) end

--- globals: tools
while true do
  for i = 1, 1000 do pcall(Tool.create, {name = "t" .. i, description = ("word "):rep(1000), handler = print}) end
  Tool.list() Tool.discover({tag = "word"}) Tool.categories()
end

--- globals: agents
while true do
  for i = 1, 200 do pcall(Agent.create, {name = "a" .. i, model = "none/none", system_prompt = ("x"):rep(10000)}) end
  pcall(Agent.list) pcall(Agent.discover_by_capability, "x") pcall(Agent.create_composite, "c", Agent.list_instances())
  local context = Agent.create_context({})
  for i = 1, 200 do context = Agent.create_child_context(context, "global", "inherit") Agent.get_context_data(context, "x") end
end

--- globals: workflows
while true do
  for i = 1, 1000 do
    pcall(Workflow.register, "sequential", {name = "w" .. i, steps = {{name = "s", tool = "calculator"}}})
  end
  pcall(Workflow.list) pcall(Template.list) pcall(Template.search, ("x"):rep(100000)) pcall(Template.execute, "x", {})
  pcall(Provider.list) pcall(Provider.usage)
end

--- pattern: a regex of the verbose mode
pcall(Debug.addAdvancedFilter, "(?x)(a|a|aa) # a comment\n* (a|aa)* b", "regex", true)
for i = 0, 50 do pcall(Debug.addAdvancedFilter, "(x|y|.){1,20}z" .. i, "regex", true) end
while true do for i = 1, 1000 do Debug.warn("message", ("a"):rep(5000) .. i) end end

--- pattern: a giant wildcard
for i = 1, 100 do pcall(Debug.addModuleFilter, ("*a?"):rep(60) .. i, true) end
for i = 1, 1e9 do Debug.warn("message", ("a"):rep(100000) .. i) end

--- pattern: a schema
while true do
  pcall(Tool.execute, "json-processor", {operation = "validate", input = ("a"):rep(40) .. "!",
    schema = {type = "string", pattern = "^(a+)+$"}})
end

--- query: add over 90,000 tables
local list = {}
for i = 1, 90000 do list[i] = {["k" .. i] = i} end
while true do pcall(JSON.query, list, "add") end

--- query: a chain
local items = {}
for i = 1, 200000 do items[i] = {n = i} end
while true do pcall(JSON.query, items, ("sort|unique|"):rep(100) .. "length") end

--- query: a deep expression
local value = 1
for i = 1, 200 do value = {a = value} end
while true do pcall(JSON.query, value, (".a|"):rep(100000) .. ".") pcall(JSON.query, value, ("map("):rep(50000)) end

--- library: a jq program
while true do
  for _, program in ipairs({"[range(1e12)] | add", "def f: f; f", "last(repeat(1))", "\"a\" * 1000000000 | length",
    "(\"a\" * 40 + \"b\") | test(\"(a+)+$\")", "[limit(100000000; repeat(\"x\"))] | join(\"y\")"}) do
    pcall(Tool.execute, "json-processor", {operation = "query", input = {1}, query = program})
  end
end

--- library: powers
while true do
  for _, text in ipairs({"9^9^9^9", "2^(10^9)", "factorial(100000)", ("("):rep(100000), ("1+"):rep(100000) .. "1",
    ("-"):rep(50000) .. "1", ("9"):rep(100000) .. "^9", "1e308^1e308", "((9^99)^99)^99 % 7"}) do
    pcall(Tool.execute, "calculator", {input = text})
    pcall(Tool.execute, "calculator", {operation = "validate", input = text})
  end
end

--- library: dates
while true do
  pcall(Tool.execute, "datetime-handler", {operation = "now", format = ("%999999999Y"):rep(50)})
  pcall(Tool.execute, "datetime-handler", {operation = "now", format = "%" .. ("9"):rep(900) .. "Y"})
  pcall(Tool.execute, "datetime-handler", {operation = "add", input = "2024-01-01", amount = 9000000000000000, unit = "years"})
  pcall(Tool.execute, "datetime-handler", {operation = "parse", input = ("1-"):rep(1000000)})
end

--- library: text
local text = ("aB c\n"):rep(600000)
while true do
  for _, operation in ipairs({"snake_case", "word_wrap", "sanitize", "normalize_whitespace", "dedent", "indent", "split",
    "replace"}) do
    pcall(Tool.execute, "text-manipulator", {operation = operation, input = text,
      options = {from = "a", to = ("b"):rep(100000), delimiter = "a", width = 1, spaces = 1000000}})
  end
end

--- library: bytes
local text = ("x"):rep(8000000)
while true do
  pcall(Tool.execute, "hash-calculator", {operation = "hash", algorithm = "sha512", input_type = "string", input = text})
  pcall(Tool.execute, "base64-encoder", {operation = "encode", input = text})
  pcall(Tool.execute, "base64-encoder", {operation = "decode", input = text})
  pcall(Tool.execute, "uuid-generator", {operation = "deterministic", name = text})
end

--- library: folders
while true do
  pcall(Tool.execute, "file-operations", {operation = "list_dir", path = "/", recursive = true})
  pcall(Tool.execute, "file-operations", {operation = "list_dir", path = "/proc", recursive = true})
  pcall(Tool.execute, "pdf-processor", {operation = "extract_text", input = "/dev/zero"})
end
