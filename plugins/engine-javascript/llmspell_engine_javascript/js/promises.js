// The promises of our calls: whoever uses one where its value is meant is told that `await` is missing. They are promises of
// the language in every other way; promises that a script makes are not touched.
const waitingTargets = create(null); // operation -> a constructor whose prototype such a promise has
const waitingLabels = new WeakMap(); // that prototype -> `Tool.execute(...)`
const ReflectConstruct = Reflect.construct;
const ReflectGet = Reflect.get;
const ProxyOf = Proxy;
const PromisePrototype = Promise.prototype;
const { constructor: promiseConstructor, then: promiseThen, catch: promiseCatch, finally: promiseFinally } = PromisePrototype;
const lowerCased = method(String.prototype.toLowerCase);
const { iterator: iteratorSymbol, toPrimitive: toPrimitiveSymbol } = Symbol;

function waitingPromise(op, begin) {
  return ReflectConstruct(PromiseOf, [begin], (waitingTargets[op] ??= waitingTarget(op)));
}

function waitingTarget(op) {
  const at = indexOf(op, "#");
  const label = at < 0 ? `${op}(...)` : `${lowerCased(slice(op, 0, 1))}${slice(op, 1, at)}.${slice(op, at + 1)}(...)`;
  const target = function () {};
  target.prototype = waitingPrototype(label);
  weakSet(waitingLabels, target.prototype, label);
  return target;
}

function waitingPrototype(label) {
  const refusing = (what) => () => { throw isMissing(label, what); };
  const unknown = new ProxyOf(create(PromisePrototype), {
    __proto__: null,
    get(target, name, self) {
      if (typeof name === "symbol" || name in target) return ReflectGet(target, name, self);
      throw misuse(new TypeErrorOf(
        `await is missing: ${label} is a Promise and has no '${name}'; write (await ${label}).${name}`,
      ));
    },
  });
  const prototype = create(unknown);
  // Here they are found before the Proxy has to be asked.
  hide(prototype, "constructor", promiseConstructor);
  hide(prototype, "then", promiseThen);
  hide(prototype, "catch", promiseCatch);
  hide(prototype, "finally", promiseFinally);
  hide(prototype, "toJSON", refusing("becomes JSON text"));
  hide(prototype, "toString", refusing("becomes text"));
  hide(prototype, toPrimitiveSymbol, refusing("becomes text, or is compared"));
  hide(prototype, iteratorSymbol, refusing("is looped over"));
  return prototype;
}

function isMissing(label, what) {
  return misuse(new TypeErrorOf(`await is missing: ${label} is a Promise, not its value, where it ${what}; write await ${label}`));
}

function showPromise(promise) {
  const label = weakGet(waitingLabels, getPrototypeOf(promise) ?? promise);
  return label === undefined ? "Promise {}" : `Promise { ${label}: await it for its value }`;
}
