// Copies.

const ERRORS = ["EvalError", "RangeError", "ReferenceError", "SyntaxError", "TypeError", "URIError"];
const cannot = (what) => problem(`${what} could not be cloned`, "DataCloneError");

function structuredClone(value) {
  if (arguments.length === 0) throw new TypeErrorOf("structuredClone: a value is required");
  return cloned(value, P.newMap());
}

function cloned(value, seen) {
  if (typeof value === "function" || typeof value === "symbol") throw cannot(typeof value === "symbol" ? "a Symbol" : "a function");
  if (value === null || typeof value !== "object") return value;
  if (P.mapHas(seen, value)) return P.mapGet(seen, value);
  const kept = (copy) => {
    P.mapSet(seen, value, copy);
    return copy;
  };
  if (isArray(value)) {
    const copy = kept([]);
    copy.length = value.length;
    return withFields(copy, value, seen);
  }
  if (value instanceof P.Date) return kept(new P.Date(P.getTime(value)));
  if (value instanceof P.RegExp) return kept(new P.RegExp(value.source, value.flags));
  if (value instanceof P.Map) {
    const copy = kept(P.newMap());
    mapForEach(value, (item, key) => P.mapSet(copy, cloned(key, seen), cloned(item, seen)));
    return copy;
  }
  if (value instanceof P.Set) {
    const copy = kept(P.newSet());
    setForEach(value, (item) => P.setAdd(copy, cloned(item, seen)));
    return copy;
  }
  if (value instanceof ErrorOf) return clonedError(value, kept, seen);
  if (P.isBuffer(value)) return kept(P.sliceBuffer(value, 0));
  if (P.isView(value)) {
    const buffer = cloned(value.buffer, seen);
    const size = value instanceof P.DataView ? value.byteLength : value.length;
    return kept(new value.constructor(buffer, value.byteOffset, size));
  }
  if (value instanceof P.Boolean || value instanceof P.Number || value instanceof P.String) return kept(P.Object(value.valueOf()));
  if (value instanceof PromiseOf || value instanceof P.WeakMap || value instanceof P.WeakSet || weakGet(K.handleIds, value) || weakGet(opaque, value)) {
    throw cannot(inspect(value, 0));
  }
  return withFields(kept({}), value, seen);
}

function withFields(copy, value, seen) {
  const names = keys(value);
  for (let i = 0; i < names.length; i++) put(copy, names[i], cloned(value[names[i]], seen));
  return copy;
}

function clonedError(error, kept, seen) {
  let name = "Error";
  for (let i = 0; i < ERRORS.length; i++) if (error.name === ERRORS[i]) name = ERRORS[i];
  const copy = kept(new P.errors[name](error.message));
  if (typeof error.stack === "string") hide(copy, "stack", error.stack);
  if (K.hasOwn(error, "cause")) hide(copy, "cause", cloned(error.cause, seen));
  return copy;
}

// Chance --------------------------------------------------------------------------------------------------------------------

function randomHex(count) {
  return bridge("random", count);
}

const crypto = {
  getRandomValues(array) {
    const whole = P.isView(array) && !(array instanceof P.DataView) && !matches(/^Float/, P.typeOf(array) ?? "Float");
    if (!whole) throw problem("an array of integers is expected", "TypeMismatchError");
    if (array.byteLength > 65536) throw problem("65,536 bytes at one time are the most", "QuotaExceededError");
    const bytes = bytesOf(array);
    const hex = randomHex(bytes.length);
    for (let i = 0; i < bytes.length; i++) bytes[i] = P.parseInt(slice(hex, 2 * i, 2 * i + 2), 16);
    return array;
  },
  randomUUID() {
    const hex = randomHex(16);
    const variant = "89ab"[P.parseInt(hex[16], 16) & 3];
    return `${slice(hex, 0, 8)}-${slice(hex, 8, 12)}-4${slice(hex, 13, 16)}-${variant}${slice(hex, 17, 20)}-${slice(hex, 20, 32)}`;
  },
};
