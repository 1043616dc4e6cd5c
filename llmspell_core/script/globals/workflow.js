// The part of Workflow that is the VM's: the forms without an argument, and steps that are checked where they are added.
const needs = {
  tool: ["tool", "tool_name"],
  agent: ["agent", "agent_id", "agent_name"],
  workflow: ["workflow", "workflow_id"],
  template: ["template_id", "template"],
};

// An agent that could not be created is undefined: that is said here, not when the workflow runs.
function check(step) {
  const names = step !== null && typeof step === "object" ? needs[step.type] : undefined;
  if (names === undefined || names.some((name) => step[name] !== undefined && step[name] !== null)) return;
  throw new Error(`step '${step.name}' of type '${step.type}' needs '${names[0]}', but it is undefined`);
}

const plainBuilder = G.builder;

G.builder = () => {
  const builder = plainBuilder();
  for (const [name, alias] of [["add_step", "addStep"], ["add_then_step", "addThenStep"], ["add_else_step", "addElseStep"]]) {
    const add = builder[name];
    const checked = function (step) {
      check(step);
      return add.call(this, step);
    };
    for (const spelling of [name, alias]) {
      Object.defineProperty(builder, spelling, { value: checked, configurable: true, writable: true });
    }
  }
  return builder;
};

for (const [name, alias] of [
  ["sequential", "sequential"], ["parallel", "parallel"], ["conditional", "conditional"], ["loop", "loop"],
  ["fan_out", "fanOut"], ["map_reduce", "mapReduce"],
]) {
  const make = G[name];
  G[name] = G[alias] = (config) => (config === undefined || config === null ? G.builder()[name]() : make(config));
}
