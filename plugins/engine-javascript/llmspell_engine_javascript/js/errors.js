// What errors tell a script: `code`, `type`, `hint` and `retryable`, and a stack that knows nothing of the code around it.
const MOST_RECENT = 64;
const rawStacks = new WeakMap(); // Error -> its stack as the VM counts lines, where that is not its own
const recent = create(null); // the last errors of the host, for whoever kept the message only
let recentCount = 0;
const InternalErrorPrototype = globalThis.InternalError?.prototype;

// Whatever a script calls `error.stack` has its own files and lines, and no frames of ours.
function cleanStacks() {
  if (stackGetter === undefined) return; // older versions of the VM: an own value of each error
  const { set } = getOwnPropertyDescriptor(ErrorOf.prototype, "stack");
  const { get } = getOwnPropertyDescriptor({
    get stack() {
      const raw = ReflectApply(stackGetter, this, []);
      // Whoever interrupts asks for the stack of what the VM throws then; nothing may run for it, it would be interrupted.
      return typeof raw !== "string" || isInterrupt(this) ? raw : scriptFrames(this);
    },
  }, "stack");
  defineProperty(ErrorOf.prototype, "stack", { __proto__: null, get, set, enumerable: false, configurable: true });
}

function isInterrupt(error) {
  const message = getOwnPropertyDescriptor(error, "message");
  return message !== undefined && message.value === "interrupted" && getPrototypeOf(error) === InternalErrorPrototype;
}

function placeStack(error, stack) {
  if (stackGetter === undefined) hide(error, "stack", stack);
  else weakSet(rawStacks, error, stack);
}

// An Error of the host's, as scripts see it; `site` is the stack of the call that it answers.
function hostError(data, site) {
  const error = new ErrorOf(`${data.message}`);
  if (site !== undefined) placeStack(error, ownFrames(site));
  const fields = keys(data);
  for (let i = 0; i < fields.length; i++) {
    if (!isErrorsOwn(fields[i]) && data[fields[i]] !== null) giveField(error, fields[i], data[fields[i]]);
  }
  weakSet(hostErrors, error, data);
  recent[recentCount++ % MOST_RECENT] = data;
  return error;
}

function isErrorsOwn(field) {
  return field === "name" || field === "message" || field === "stack" || field === "cause" || field === "kind";
}

// `error` as what the VM itself says of a call that something is wrong with.
function misuse(error) {
  giveField(error, "code", "validation");
  giveField(error, "type", "ValidationError");
  giveField(error, "retryable", false);
  return error;
}

function giveField(error, name, value) {
  defineProperty(error, name, { __proto__: null, value, writable: true, enumerable: true, configurable: true });
}

// Debug.errorInfo: the fields of anything that was caught; a text is looked for among the last errors.
function errorInfo(problem) {
  if (problem === undefined || problem === null) return null;
  const text = typeof problem === "string" ? problem : `${problem.message ?? problem}`;
  const data = (typeof problem === "object" && weakGet(hostErrors, problem)) || knownAs(text);
  const info = data ? { ...data } : { message: text, code: "script", type: "ScriptError", retryable: false };
  delete info.kind;
  if (info.hint === null) delete info.hint;
  return typeof problem === "object" ? withOwn(info, problem) : info;
}

// What a script has said itself of an error that it made.
function withOwn(info, problem) {
  if (typeof problem.code === "string") info.code = problem.code;
  if (typeof problem.type === "string") info.type = problem.type;
  if (typeof problem.hint === "string") info.hint = problem.hint;
  if (typeof problem.retryable === "boolean") info.retryable = problem.retryable;
  return info;
}

function knownAs(text) {
  let found;
  for (let i = 0; i < MOST_RECENT && recent[i] !== undefined; i++) {
    const { message } = recent[i];
    if (message === text) return recent[i];
    const inside = message.length >= 8 && indexOf(text, message) >= 0;
    if (inside && (found === undefined || message.length > found.message.length)) found = recent[i];
  }
  return found;
}
