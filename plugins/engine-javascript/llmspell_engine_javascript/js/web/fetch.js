// Requests: the tool http-request makes them, so that the policy, hooks and consent are those of the tool.

class Headers {
  #values = create(null);
  constructor(init) {
    if (init === undefined || init === null) return;
    const pairs = init instanceof Headers ? init.pairs() : givenPairs(init);
    for (let i = 0; i < pairs.length; i++) this.append(pairs[i][0], pairs[i][1]);
  }
  append(name, value) {
    const key = headerName(name);
    this.#values[key] = key in this.#values ? `${this.#values[key]}, ${trim(`${value}`)}` : trim(`${value}`);
  }
  set(name, value) { this.#values[headerName(name)] = trim(`${value}`); }
  get(name) { return this.#values[headerName(name)] ?? null; }
  has(name) { return headerName(name) in this.#values; }
  delete(name) { delete this.#values[headerName(name)]; }
  getSetCookie() { return this.has("set-cookie") ? split(this.get("set-cookie"), "\n") : []; }
  pairs() {
    const pairs = [];
    const names = P.sort(keys(this.#values));
    for (let i = 0; i < names.length; i++) push(pairs, [names[i], this.#values[names[i]]]);
    return pairs;
  }
  forEach(f, self) {
    const pairs = this.pairs();
    for (let i = 0; i < pairs.length; i++) ReflectApply(f, self, [pairs[i][1], pairs[i][0], this]);
  }
  entries() { return walk(this.pairs(), (pair) => pair); }
  keys() { return walk(this.pairs(), (pair) => pair[0]); }
  values() { return walk(this.pairs(), (pair) => pair[1]); }
  [Symbol.iterator]() { return this.entries(); }
}

function headerName(name) {
  if (!matches(/^[!#$%&'*+.^_`|~0-9A-Za-z-]+$/, `${name}`)) throw new TypeErrorOf(`'${name}' is not the name of a header`);
  return toLowerCase(`${name}`);
}

class Body {
  #bytes; #used = false; #type;
  constructor(bytes, type) {
    this.#bytes = bytes;
    this.#type = type;
  }
  get bodyUsed() { return this.#used; }
  get body() {
    if (this.#bytes === null) return null;
    throw problem("a body is not read in pieces here; use text(), json() or arrayBuffer()", "NotSupportedError");
  }
  async bytes() {
    if (this.#used) throw new TypeErrorOf("the body has been read already");
    this.#used = this.#bytes !== null;
    return this.#bytes ?? new P.Uint8Array(0);
  }
  async text() {
    const found = K.exec(/charset\s*=\s*"?([^\s;"]+)/i, this.headers.get("content-type") ?? "");
    const label = found && LABELS[toLowerCase(found[1])];
    return new TextDecoder(label ?? "utf-8").decode(await this.bytes());
  }
  async json() { return P.JSON.parse(await this.text()); }
  async arrayBuffer() { return P.sliceBytes(await this.bytes(), 0).buffer; }
  kept() { return this.#bytes; }
}

// [bytes or null, the content type that follows from what was given]
function bodyOf(given) {
  if (given === undefined || given === null) return [null, null];
  if (given instanceof URLSearchParams) return [utf8(`${given}`), "application/x-www-form-urlencoded;charset=UTF-8"];
  if (P.isView(given) || P.isBuffer(given)) return [P.sliceBytes(bytesOf(given), 0), null];
  return [utf8(`${given}`), "text/plain;charset=UTF-8"];
}

class Response extends Body {
  constructor(body, { status = 200, statusText = "", headers } = {}) {
    const [bytes, type] = bodyOf(body);
    super(bytes);
    if (!(status >= 200 && status <= 599)) throw new P.RangeError("the status of a response is from 200 to 599");
    this.status = trunc(status);
    this.statusText = `${statusText}`;
    this.headers = new Headers(headers);
    if (type !== null && !this.headers.has("content-type")) this.headers.set("content-type", type);
    this.ok = status < 300;
    this.url = "";
    this.redirected = false;
    this.type = "default";
  }
  static json(data, init) {
    const response = new Response(stringify(data), init);
    response.headers.set("content-type", "application/json");
    return response;
  }
  static error() { throw new TypeErrorOf("Response.error is not available here"); }
  clone() {
    if (this.bodyUsed) throw new TypeErrorOf("the body has been read already");
    return answered(this.kept(), this);
  }
}

function answered(bytes, { status, statusText, headers, url, redirected }) {
  const response = new Response(bytes === null ? null : bytes, { status: status < 200 ? 200 : status, statusText, headers });
  response.status = status;
  response.ok = status >= 200 && status < 300;
  response.url = url;
  response.redirected = redirected;
  response.type = "basic";
  return response;
}

class Request extends Body {
  constructor(input, init = {}) {
    const from = input instanceof Request ? input : null;
    const [bytes, type] = init.body !== undefined ? bodyOf(init.body) : [from ? from.kept() : null, null];
    super(bytes);
    const url = from ? from.url : new URL(input).href;
    this.url = url;
    this.method = `${init.method ?? from?.method ?? "GET"}`.toUpperCase();
    this.headers = new Headers(init.headers ?? from?.headers);
    if (type !== null && !this.headers.has("content-type")) this.headers.set("content-type", type);
    this.signal = init.signal ?? from?.signal ?? null;
    if (bytes !== null && (this.method === "GET" || this.method === "HEAD")) throw new TypeErrorOf(`a request with ${this.method} has no body`);
  }
  clone() { return new Request(this); }
}

function requestBody(request) {
  const bytes = request.kept();
  if (bytes === null) return undefined;
  try {
    return decodeUtf8(bytes, true, false).text;
  } catch {
    throw new TypeErrorOf("fetch: the body is not UTF-8 text; encode it first, as with btoa");
  }
}

function fetch(input, init) {
  return new PromiseOf((resolve, reject) => {
    const request = new Request(input, init);
    const { signal } = request;
    if (signal?.aborted) return reject(signal.reason);
    signal?.addEventListener("abort", () => reject(signal.reason), { once: true });
    const parameters = { input: request.url, method: request.method, headers: fieldsOf(request.headers), body: requestBody(request), body_as: "base64" };
    K.follow(K.startHost("Tool.execute", K.json(["http-request", parameters])), (found) => resolve(opened(request, found)), (error) => reject(failed(error)));
  });
}

function fieldsOf(headers) {
  const fields = create(null);
  const pairs = headers.pairs();
  for (let i = 0; i < pairs.length; i++) fields[pairs[i][0]] = pairs[i][1];
  return fields;
}

function opened(request, found) {
  const { result, metadata } = found;
  const headers = new Headers();
  const names = keys(result.headers);
  for (let i = 0; i < names.length; i++) {
    const value = result.headers[names[i]];
    headers.set(names[i], isArray(value) ? P.join(value, "\n") : value);
  }
  const text = P.atob(result.body);
  const bytes = new P.Uint8Array(text.length);
  for (let i = 0; i < text.length; i++) bytes[i] = P.charCodeAt(text, i);
  const url = metadata?.url ?? request.url;
  const statusText = replace(found.message ?? "", /^.*: \d+ ?/, "");
  return answered(bytes, { status: result.status_code, statusText, headers, url, redirected: url !== request.url });
}

// A request that could not be made is a TypeError, as elsewhere; what the host said of it stays with it.
function failed(error) {
  const failure = new TypeErrorOf(`fetch: ${error.message}`);
  hide(failure, "cause", error);
  if (typeof error.code === "string") hide(failure, "code", error.code);
  if (typeof error.hint === "string") hide(failure, "hint", error.hint);
  const data = weakGet(K.hostErrors, error);
  if (data !== undefined) weakSet(K.hostErrors, failure, data);
  return failure;
}
