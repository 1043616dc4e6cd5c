-- The part of Workflow that is the VM's: the forms without an argument, and steps that are checked where they are added.
local G, vm = ...
local type, error, ipairs, tostring = type, error, ipairs, tostring

local needs = {
  tool = { "tool", "tool_name" },
  agent = { "agent", "agent_id", "agent_name" },
  workflow = { "workflow", "workflow_id" },
  template = { "template_id", "template" },
}

-- An agent that could not be created is nil: that is said here, with the line of the script, not when it runs.
local function check(step)
  local keys = type(step) == "table" and needs[step.type]
  if not keys then return end
  for _, key in ipairs(keys) do
    if step[key] ~= nil then return end
  end
  error("step '" .. tostring(step.name) .. "' of type '" .. step.type .. "' needs '" .. keys[1] .. "', but it is nil", 3)
end

local plain_builder = G.builder

function G.builder()
  local builder = plain_builder()
  for _, name in ipairs({ "add_step", "add_then_step", "add_else_step" }) do
    local add = builder[name]
    builder[name] = function(self, step)
      check(step)
      return add(self, step)
    end
  end
  return builder
end

for _, name in ipairs({ "sequential", "parallel", "conditional", "loop", "fan_out", "map_reduce" }) do
  local make = G[name]
  G[name] = function(config)
    if config == nil then
      local builder = G.builder()
      return builder[name](builder)
    end
    return make(config)
  end
end
