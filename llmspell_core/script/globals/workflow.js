// The part of Workflow that is the VM's: the forms without an argument, and steps that are checked where they are added.
const { own } = vm;
const needs = {
  __proto__: null,
  tool: ["tool", "tool_name"],
  agent: ["agent", "agent_id", "agent_name"],
  workflow: ["workflow", "workflow_id"],
  template: ["template_id", "template"],
};

// An agent that could not be created is undefined: that is said here, not when the workflow runs.
function check(step) {
  const names = step !== null && typeof step === "object" ? needs[step.type] : undefined;
  if (names === undefined) return;
  for (let i = 0; i < names.length; i++) if (step[names[i]] !== undefined && step[names[i]] !== null) return;
  throw new own.Error(`step '${step.name}' of type '${step.type}' needs '${names[0]}', but it is undefined`);
}

const plainBuilder = G.builder;

const stepMethods = [["add_step", "addStep"], ["add_then_step", "addThenStep"], ["add_else_step", "addElseStep"]];

G.builder = () => {
  const builder = plainBuilder();
  own.addAll(stepMethods, (spellings) => {
    const add = builder[spellings[0]];
    const checked = function (step) {
      check(step);
      return own.apply(add, this, [step]);
    };
    own.addAll(spellings, (spelling) => {
      own.defineProperty(builder, spelling, { __proto__: null, value: checked, configurable: true, writable: true });
    });
  });
  return builder;
};

own.addAll([
  ["sequential", "sequential"], ["parallel", "parallel"], ["conditional", "conditional"], ["loop", "loop"],
  ["fan_out", "fanOut"], ["map_reduce", "mapReduce"],
], (spellings) => {
  const name = spellings[0];
  const make = G[name];
  G[name] = G[spellings[1]] = (config) => (config === undefined || config === null ? G.builder()[name]() : make(config));
});
