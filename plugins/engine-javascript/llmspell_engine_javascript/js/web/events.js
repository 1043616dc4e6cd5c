// Events and aborting.

// What listeners get; scripts know `Event` as the events of llmspell.
class Event {
  #type; #prevented = false; #cancelable;
  constructor(type, { cancelable = false } = {}) {
    this.#type = `${type}`;
    this.#cancelable = Boolean(cancelable);
    this.target = this.currentTarget = null;
    this.timeStamp = P.now();
  }
  get type() { return this.#type; }
  get cancelable() { return this.#cancelable; }
  get defaultPrevented() { return this.#prevented; }
  preventDefault() { this.#prevented = this.#prevented || this.#cancelable; }
  stopImmediatePropagation() { hide(this, "stopped", true); }
  stopPropagation() {}
}

class EventTarget {
  #listeners = [];
  addEventListener(type, listener, options) {
    if (listener === null || listener === undefined) return;
    const signal = options?.signal;
    if (signal?.aborted) return;
    for (let i = 0; i < this.#listeners.length; i++) {
      if (this.#listeners[i].type === `${type}` && this.#listeners[i].listener === listener) return;
    }
    push(this.#listeners, { type: `${type}`, listener, once: Boolean(options?.once) });
    signal?.addEventListener("abort", () => this.removeEventListener(type, listener));
  }
  removeEventListener(type, listener) {
    const kept = [];
    for (let i = 0; i < this.#listeners.length; i++) {
      const one = this.#listeners[i];
      if (one.type !== `${type}` || one.listener !== listener) push(kept, one);
    }
    this.#listeners = kept;
  }
  dispatchEvent(event) {
    event.target = event.currentTarget = this;
    const now = this.#listeners;
    for (let i = 0; i < now.length && !event.stopped; i++) {
      const { type, listener, once } = now[i];
      if (type !== event.type) continue;
      if (once) this.removeEventListener(type, listener);
      if (typeof listener === "function") ReflectApply(listener, this, [event]);
      else listener.handleEvent(event);
    }
    return !event.defaultPrevented;
  }
}

let mayMakeSignals = false;
function newSignal() {
  mayMakeSignals = true;
  try { return new AbortSignal(); } finally { mayMakeSignals = false; }
}

const signals = P.newWeakMap(); // AbortSignal -> {aborted, reason}

function abort(signal, reason = problem("this operation was aborted", "AbortError")) {
  const state = weakGet(signals, signal);
  if (state.aborted) return;
  state.aborted = true;
  state.reason = reason;
  const event = new Event("abort");
  if (typeof signal.onabort === "function") {
    event.target = signal;
    ReflectApply(signal.onabort, signal, [event]);
  }
  signal.dispatchEvent(event);
}

class AbortSignal extends EventTarget {
  constructor() {
    if (!mayMakeSignals) throw new TypeErrorOf("a signal comes from an AbortController, AbortSignal.timeout(ms) or AbortSignal.any(list)");
    super();
    this.onabort = null;
    weakSet(signals, this, { aborted: false, reason: undefined });
  }
  static abort(reason) {
    const signal = newSignal();
    abort(signal, reason);
    return signal;
  }
  static timeout(ms) {
    const signal = newSignal();
    // It must not keep the script from ending.
    bridge("untied", addTimer(() => abort(signal, problem("the time is over", "TimeoutError")), ms, [], false));
    return signal;
  }
  static any(list) {
    const signal = newSignal();
    for (const one of list) {
      if (one.aborted) {
        abort(signal, one.reason);
        break;
      }
      one.addEventListener("abort", () => abort(signal, one.reason), { once: true });
    }
    return signal;
  }
  get aborted() { return weakGet(signals, this).aborted; }
  get reason() { return weakGet(signals, this).reason; }
  throwIfAborted() { if (this.aborted) throw this.reason; }
}

class AbortController {
  #signal = newSignal();
  get signal() { return this.#signal; }
  abort(reason) { abort(this.#signal, reason); }
}
