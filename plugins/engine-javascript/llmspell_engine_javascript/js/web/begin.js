// What the language lacks and browsers have. Run when a script first asks for one of these; `K` holds what was captured
// before any script ran. What is not here (Intl, Buffer, WebSocket, crypto.subtle) is in the documentation, with advice.
const {
  ReflectApply, method, create, defineProperty, getOwnPropertyDescriptor, getPrototypeOf, keys, isArray, stringify, startsWith,
  indexOf, slice, repeat, replace, split, matches, weakGet, weakSet, mapForEach, setForEach, ErrorOf, TypeErrorOf, PromiseOf, push,
  put, hide, inspect, format, bridge, scriptFrames, addTimer, clearTimer, trim, toLowerCase, trunc, opaque,
} = K;
const P = K.intrinsics;
const DOMExceptionOf = P.DOMException ?? class DOMException extends ErrorOf {
  constructor(message, name = "Error") {
    super(message);
    hide(this, "name", name);
  }
};
const problem = (message, name) => new DOMExceptionOf(message, name);
