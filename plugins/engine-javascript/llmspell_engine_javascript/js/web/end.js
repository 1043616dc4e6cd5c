// What a script can ask for.
const found = {
  URL, URLSearchParams, TextEncoder, TextDecoder, EventTarget, AbortController, AbortSignal, structuredClone, crypto, Headers,
  Request, Response, fetch,
};
const named = keys(found);
for (let i = 0; i < named.length; i++) {
  const prototype = typeof found[named[i]] === "function" ? found[named[i]].prototype : found[named[i]];
  if (prototype) defineProperty(prototype, K.tag, { __proto__: null, value: named[i] === "crypto" ? "Crypto" : named[i], configurable: true });
}
return { __proto__: null, ...found, console };
