// Addresses.

const SPECIAL = { __proto__: null, "http:": "80", "https:": "443", "ws:": "80", "wss:": "443", "ftp:": "21", "file:": "" };
const HEX = "0123456789ABCDEF";
const C0 = /[^\x20-\x7e]/;
const FRAGMENT = /[^\x21\x23-\x3b\x3d\x3f-\x5f\x61-\x7e]/;
const QUERY = /[^\x21\x24-\x3b\x3d\x3f-\x7e]/;
const SPECIAL_QUERY = /[^\x21\x24-\x26\x28-\x3b\x3d\x3f-\x7e]/;
const PATH = /[^\x21\x24-\x3b\x3d\x40-\x5d\x5f\x61-\x7a\x7c\x7e]/;
const USER = /[^\x21\x24-\x2e\x30-\x39\x41-\x5a\x5f\x61-\x7a\x7e]/;

function escaped(text, set) {
  let out = "";
  for (let i = 0; i < text.length; i++) {
    const code = codePoint(text, i);
    const piece = code > 0xffff ? slice(text, i, i + 2) : slice(text, i, i + 1);
    if (!matches(set, piece)) out += piece;
    else {
      const bytes = utf8(piece);
      for (let k = 0; k < bytes.length; k++) out += `%${HEX[bytes[k] >> 4]}${HEX[bytes[k] & 15]}`;
    }
    if (code > 0xffff) i++;
  }
  return out;
}

function unescaped(text) {
  if (indexOf(text, "%") < 0) return text;
  const bytes = utf8(text);
  const out = new P.Uint8Array(bytes.length);
  let size = 0;
  for (let i = 0; i < bytes.length; i++) {
    const high = bytes[i] === 0x25 && i + 2 < bytes.length ? hexDigit(bytes[i + 1]) : -1;
    const low = high >= 0 ? hexDigit(bytes[i + 2]) : -1;
    if (low >= 0) i += 2;
    out[size++] = low >= 0 ? high * 16 + low : bytes[i];
  }
  return decodeUtf8(P.sliceBytes(out, 0, size), false, false).text;
}

function hexDigit(byte) {
  if (byte >= 0x30 && byte <= 0x39) return byte - 0x30;
  const lower = byte | 0x20;
  return lower >= 0x61 && lower <= 0x66 ? lower - 0x57 : -1;
}

// Labels beyond ASCII as RFC 3492 writes them.
function punycode(label) {
  const input = [];
  for (let i = 0; i < label.length; i++) {
    const code = codePoint(label, i);
    push(input, code);
    if (code > 0xffff) i++;
  }
  let out = "";
  for (let i = 0; i < input.length; i++) if (input[i] < 128) out += P.fromCodePoint(input[i]);
  const basic = out.length;
  if (basic > 0) out += "-";
  let n = 128, delta = 0, bias = 72, handled = basic;
  while (handled < input.length) {
    let next = 0x110000;
    for (let i = 0; i < input.length; i++) if (input[i] >= n && input[i] < next) next = input[i];
    delta += (next - n) * (handled + 1);
    n = next;
    for (let i = 0; i < input.length; i++) {
      if (input[i] < n) delta++;
      if (input[i] !== n) continue;
      let q = delta;
      for (let k = 36; ; k += 36) {
        const t = k <= bias ? 1 : k >= bias + 26 ? 26 : k - bias;
        if (q < t) break;
        out += digit(t + ((q - t) % (36 - t)));
        q = trunc((q - t) / (36 - t));
      }
      out += digit(q);
      bias = adapted(delta, handled + 1, handled === basic);
      delta = 0;
      handled++;
    }
    delta++;
    n++;
  }
  return `xn--${out}`;
}

function digit(value) {
  return P.fromCodePoint(value < 26 ? value + 97 : value + 22);
}

function adapted(delta, count, first) {
  delta = trunc(first ? delta / 700 : delta / 2);
  delta += trunc(delta / count);
  let k = 0;
  for (; delta > 455; k += 36) delta = trunc(delta / 35);
  return k + trunc((36 * delta) / (delta + 38));
}

function hostOf(text, special) {
  if (startsWith(text, "[")) return matches(/^\[[0-9a-f:.]+\]$/i, text) ? ipv6(slice(text, 1, -1)) : null;
  if (!special) return matches(/[\0\t\n\r #/:<>?@[\\\]^|]/, text) ? null : escaped(text, C0);
  const labels = split(toLowerCase(P.normalize(unescaped(text), "NFKC")), ".");
  let host = "";
  for (let i = 0; i < labels.length; i++) {
    host += (i > 0 ? "." : "") + (matches(/[^\x00-\x7f]/, labels[i]) ? punycode(labels[i]) : labels[i]);
  }
  if (host === "" || matches(/[\x00-\x20"#%/:<>?@[\\\]^`{|}\x7f]/, host)) return null;
  return ipv4(host);
}

function ipv4(host) {
  const parts = split(host, ".");
  if (parts.length > 1 && parts[parts.length - 1] === "") parts.length -= 1;
  if (!matches(/^(?:\d+|0x[0-9a-f]*)$/, parts[parts.length - 1])) return host;
  if (parts.length > 4) return null;
  let value = 0;
  for (let i = 0; i < parts.length; i++) {
    const part = parts[i];
    const octal = matches(/^0[0-7]+$/, part);
    const number = part === "0x" ? 0 : octal ? P.parseInt(part, 8) : matches(/^(?:\d+|0x[0-9a-f]+)$/, part) ? +part : NaN;
    const last = i === parts.length - 1;
    const room = last ? 256 ** (5 - parts.length) : 256;
    if (!(number < room) || (matches(/^0\d/, part) && !octal)) return null;
    value += last ? number : number * 256 ** (3 - i);
  }
  return `${trunc(value / 16777216)}.${trunc(value / 65536) % 256}.${trunc(value / 256) % 256}.${value % 256}`;
}

function ipv6(text) {
  const groups = [];
  const halves = split(text, "::");
  if (halves.length > 2) return null;
  const numbers = (half, into) => {
    if (half === "") return true;
    const parts = split(half, ":");
    for (let i = 0; i < parts.length; i++) {
      if (i === parts.length - 1 && indexOf(parts[i], ".") >= 0) {
        const four = matches(/^\d+\.\d+\.\d+\.\d+$/, parts[i]) ? ipv4(parts[i]) : null;
        if (four === null) return false;
        const bytes = split(four, ".");
        push(into, bytes[0] * 256 + +bytes[1]);
        push(into, bytes[2] * 256 + +bytes[3]);
      } else if (matches(/^[0-9a-f]{1,4}$/i, parts[i])) push(into, P.parseInt(parts[i], 16));
      else return false;
    }
    return true;
  };
  const tail = [];
  if (!numbers(halves[0], groups) || (halves.length === 2 && !numbers(halves[1], tail))) return null;
  const missing = 8 - groups.length - tail.length;
  if (halves.length === 2 ? missing < 1 : missing !== 0) return null;
  for (let i = 0; i < missing; i++) push(groups, 0);
  for (let i = 0; i < tail.length; i++) push(groups, tail[i]);
  return `[${shortest(groups)}]`;
}

function shortest(groups) {
  let start = -1, length = 1;
  for (let i = 0; i < 8; i++) {
    let end = i;
    while (end < 8 && groups[end] === 0) end++;
    if (end - i > length) { start = i; length = end - i; }
    if (end > i) i = end;
  }
  let text = "";
  for (let i = 0; i < 8; i++) {
    if (i === start) {
      text += i === 0 ? "::" : ":";
      i += length - 1;
    } else text += P.toText(groups[i], 16) + (i < 7 ? ":" : "");
  }
  return text;
}

function parseUrl(input, base) {
  const text = replace(replace(input, /^[\x00-\x20]+|[\x00-\x20]+$/g, ""), /[\t\n\r]/g, "");
  const scheme = K.exec(/^([a-z][a-z0-9+.-]*):/i, text);
  const hash = indexOf(text, "#");
  const fragment = hash < 0 ? "" : escaped(slice(text, hash + 1), FRAGMENT);
  const withHash = hash < 0 ? "" : fragment === "" ? "" : `#${fragment}`;
  const body = hash < 0 ? text : slice(text, 0, hash);
  const protocol = scheme && toLowerCase(scheme[0]);
  if (protocol && !(base && SPECIAL[protocol] !== undefined && protocol === base.protocol && !matches(/^[a-z0-9+.-]+:[/\\]/i, body))) {
    return absolute(protocol, slice(body, scheme[0].length), withHash);
  }
  if (!base) return null;
  const rest = protocol ? slice(body, scheme[0].length) : body;
  if (base.opaque) return rest === "" && hash >= 0 ? { ...base, hash: withHash } : null;
  return relative(base, rest, withHash);
}

function slashes(text, special) {
  return special ? replace(text, /^[^?]*/, (head) => replace(head, /\\/g, "/")) : text;
}

function absolute(protocol, rest, hash) {
  const special = SPECIAL[protocol] !== undefined;
  rest = slashes(rest, special);
  const url = { __proto__: null, protocol, username: "", password: "", host: null, port: "", path: "", query: "", hash, opaque: false };
  if (special && protocol !== "file:") rest = `//${replace(rest, /^\/*/, "")}`;
  if (startsWith(rest, "//")) {
    const authority = K.exec(/^\/\/([^/?]*)/, rest);
    if (!readAuthority(url, authority[1], special)) return null;
    rest = slice(rest, authority[0].length);
  } else if (protocol === "file:") url.host = "";
  else if (!startsWith(rest, "/")) url.opaque = true;
  return withPath(url, rest, special, []);
}

function readAuthority(url, text, special) {
  const at = K.lastIndexOf(text, "@");
  if (at >= 0) {
    const user = slice(text, 0, at);
    const colon = indexOf(user, ":");
    url.username = escaped(colon < 0 ? user : slice(user, 0, colon), USER);
    url.password = colon < 0 ? "" : escaped(slice(user, colon + 1), USER);
    text = slice(text, at + 1);
  }
  const port = K.exec(/:(\d*)$/, text);
  if (port) {
    if (port[1] !== "" && +port[1] > 65535) return false;
    url.port = port[1] === "" || `${+port[1]}` === SPECIAL[url.protocol] ? "" : `${+port[1]}`;
    text = slice(text, 0, -port[0].length);
  }
  if (url.protocol === "file:" && (text === "" || text === "localhost")) {
    url.host = "";
    return at < 0 && !port;
  }
  url.host = text === "" && !special ? "" : hostOf(text, special);
  return url.host !== null && (text !== "" || (at < 0 && !port));
}

function relative(base, rest, hash) {
  const special = SPECIAL[base.protocol] !== undefined;
  rest = slashes(rest, special);
  if (startsWith(rest, "//")) return absolute(base.protocol, rest, hash);
  const url = { ...base, hash };
  if (rest === "") return url;
  url.query = "";
  if (startsWith(rest, "?")) return withPath(url, base.path + rest, special, []);
  if (startsWith(rest, "/")) return withPath(url, rest, special, []);
  const segments = split(base.path, "/");
  const kept = [];
  for (let i = 1; i < segments.length - 1; i++) push(kept, segments[i]);
  return withPath(url, `/${rest}`, special, kept);
}

function withPath(url, rest, special, kept) {
  const mark = indexOf(rest, "?");
  const query = mark < 0 ? "" : escaped(slice(rest, mark + 1), special ? SPECIAL_QUERY : QUERY);
  url.query = query === "" ? "" : `?${query}`;
  const path = mark < 0 ? rest : slice(rest, 0, mark);
  if (url.opaque) url.path = escaped(path, C0);
  else if (path === "") url.path = special ? "/" : "";
  else url.path = joined(kept, split(startsWith(path, "/") ? slice(path, 1) : path, "/"));
  return url;
}

function joined(kept, segments) {
  for (let i = 0; i < segments.length; i++) {
    const segment = replace(segments[i], /%2e/gi, ".");
    const last = i === segments.length - 1;
    if (segment === "..") {
      if (kept.length > 0) kept.length -= 1;
      if (last) push(kept, "");
    } else if (segment !== ".") push(kept, escaped(segments[i], PATH));
    else if (last) push(kept, "");
  }
  let path = "";
  for (let i = 0; i < kept.length; i++) path += `/${kept[i]}`;
  return path;
}

const urls = P.newWeakMap(); // URL -> its parts
const partsOf = (url) => {
  const parts = weakGet(urls, url);
  if (parts === undefined) throw new TypeErrorOf("a URL is expected");
  return parts;
};
const hostText = (parts) => (parts.host ?? "") + (parts.port === "" ? "" : `:${parts.port}`);
const setQuery = (parts, text) => {
  const query = escaped(text, SPECIAL[parts.protocol] === undefined ? QUERY : SPECIAL_QUERY);
  parts.query = query === "" ? "" : `?${query}`;
};

class URL {
  #params;
  constructor(input, base) {
    const from = base === undefined ? undefined : parseUrl(`${base}`);
    const parts = from === null ? null : parseUrl(`${input}`, from);
    if (parts === null) throw new TypeErrorOf(`'${slice(`${input}`, 0, 200)}' is not a URL`);
    weakSet(urls, this, parts);
    weakSet(K.texts, this, () => this.href);
  }
  static canParse(input, base) { return URL.parse(input, base) !== null; }
  static parse(input, base) {
    try { return new URL(input, base); } catch { return null; }
  }
  get href() {
    const u = partsOf(this);
    const user = u.username === "" && u.password === "" ? "" : `${u.username}${u.password === "" ? "" : `:${u.password}`}@`;
    const authority = u.host === null ? (startsWith(u.path, "//") ? "/." : "") : `//${user}${hostText(u)}`;
    return u.protocol + authority + u.path + u.query + u.hash;
  }
  set href(value) {
    const parts = parseUrl(`${value}`);
    if (parts === null) throw new TypeErrorOf(`'${slice(`${value}`, 0, 200)}' is not a URL`);
    weakSet(urls, this, parts);
    if (this.#params) fill(this.#params, parts.query);
  }
  get origin() {
    const u = partsOf(this);
    return SPECIAL[u.protocol] && u.host ? `${u.protocol}//${hostText(u)}` : "null";
  }
  get protocol() { return partsOf(this).protocol; }
  set protocol(value) {
    const u = partsOf(this);
    const found = K.exec(/^([a-z][a-z0-9+.-]*)(?::|$)/i, `${value}`);
    const protocol = found && `${toLowerCase(found[1])}:`;
    if (protocol && (SPECIAL[protocol] === undefined) === (SPECIAL[u.protocol] === undefined)) {
      u.protocol = protocol;
      if (u.port === SPECIAL[protocol]) u.port = "";
    }
  }
  get username() { return partsOf(this).username; }
  set username(value) { if (partsOf(this).host) partsOf(this).username = escaped(`${value}`, USER); }
  get password() { return partsOf(this).password; }
  set password(value) { if (partsOf(this).host) partsOf(this).password = escaped(`${value}`, USER); }
  get host() { return hostText(partsOf(this)); }
  set host(value) {
    const u = partsOf(this);
    const trial = { ...u };
    const text = K.exec(/^[^/?#\\]*/, `${value}`)[0];
    if (!u.opaque && indexOf(text, "@") < 0 && readAuthority(trial, text, SPECIAL[u.protocol] !== undefined)) {
      u.host = trial.host;
      if (matches(/:\d+$/, text)) u.port = trial.port;
    }
  }
  get hostname() { return partsOf(this).host ?? ""; }
  set hostname(value) {
    const u = partsOf(this);
    const host = u.opaque ? null : hostOf(K.exec(/^[^/?#\\]*/, `${value}`)[0], SPECIAL[u.protocol] !== undefined);
    if (host !== null && host !== "") u.host = host;
  }
  get port() { return partsOf(this).port; }
  set port(value) {
    const u = partsOf(this);
    const digits = K.exec(/^\d*/, `${value}`)[0];
    if (`${value}` === "") u.port = "";
    else if (digits !== "" && +digits <= 65535) u.port = `${+digits}` === SPECIAL[u.protocol] ? "" : `${+digits}`;
  }
  get pathname() { return partsOf(this).path; }
  set pathname(value) {
    const u = partsOf(this);
    const special = SPECIAL[u.protocol] !== undefined;
    const path = special ? replace(`${value}`, /\\/g, "/") : `${value}`;
    if (!u.opaque) u.path = joined([], split(startsWith(path, "/") ? slice(path, 1) : path, "/"));
  }
  get search() { return partsOf(this).query; }
  set search(value) {
    setQuery(partsOf(this), replace(`${value}`, /^\?/, ""));
    if (this.#params) fill(this.#params, partsOf(this).query);
  }
  get searchParams() {
    if (!this.#params) {
      this.#params = new URLSearchParams(partsOf(this).query);
      weakSet(owners, this.#params, this);
    }
    return this.#params;
  }
  get hash() { return partsOf(this).hash; }
  set hash(value) {
    const fragment = escaped(replace(`${value}`, /^#/, ""), FRAGMENT);
    partsOf(this).hash = fragment === "" ? "" : `#${fragment}`;
  }
  toString() { return this.href; }
  toJSON() { return this.href; }
}

const owners = P.newWeakMap(); // URLSearchParams -> its URL
const pairLists = P.newWeakMap(); // URLSearchParams -> [[name, value], ...]
const formEscaped = (text) => replace(escaped(text, /[^*\x2d.0-9A-Z_a-z ]/), / /g, "+");
const formUnescaped = (text) => unescaped(replace(text, /\+/g, " "));

function pairsOf(params) {
  const pairs = weakGet(pairLists, params);
  if (pairs === undefined) throw new TypeErrorOf("URLSearchParams are expected");
  return pairs;
}

function fill(params, text) {
  const pairs = [];
  const pieces = split(replace(text, /^\?/, ""), "&");
  for (let i = 0; i < pieces.length; i++) {
    if (pieces[i] === "") continue;
    const mark = indexOf(pieces[i], "=");
    const name = mark < 0 ? pieces[i] : slice(pieces[i], 0, mark);
    push(pairs, [formUnescaped(name), mark < 0 ? "" : formUnescaped(slice(pieces[i], mark + 1))]);
  }
  weakSet(pairLists, params, pairs);
}

function changed(params, pairs) {
  weakSet(pairLists, params, pairs);
  const owner = weakGet(owners, params);
  if (owner) {
    const query = params.toString();
    partsOf(owner).query = query === "" ? "" : `?${query}`;
  }
}

// The pairs of an iterable of pairs or of an object, as names and values in text.
function givenPairs(init) {
  const pairs = [];
  if (typeof init[Symbol.iterator] === "function") {
    for (const pair of init) {
      const both = P.from(pair);
      if (both.length !== 2) throw new TypeErrorOf("each pair must be a name and a value");
      push(pairs, [`${both[0]}`, `${both[1]}`]);
    }
  } else {
    const names = keys(init);
    for (let i = 0; i < names.length; i++) push(pairs, [names[i], `${init[names[i]]}`]);
  }
  return pairs;
}

function* walk(pairs, pick) {
  for (let i = 0; i < pairs.length; i++) yield pick(pairs[i]);
}

function compareText(a, b) {
  return a < b ? -1 : a > b ? 1 : 0;
}

class URLSearchParams {
  constructor(init = "") {
    if (init !== null && typeof init === "object") weakSet(pairLists, this, givenPairs(init));
    else fill(this, `${init}`);
  }
  get size() { return pairsOf(this).length; }
  append(name, value) {
    push(pairsOf(this), [`${name}`, `${value}`]);
    changed(this, pairsOf(this));
  }
  delete(name, value) {
    const kept = [];
    const pairs = pairsOf(this);
    for (let i = 0; i < pairs.length; i++) {
      const hit = pairs[i][0] === `${name}` && (value === undefined || pairs[i][1] === `${value}`);
      if (!hit) push(kept, pairs[i]);
    }
    changed(this, kept);
  }
  get(name) {
    const all = this.getAll(name);
    return all.length > 0 ? all[0] : null;
  }
  getAll(name) {
    const found = [];
    const pairs = pairsOf(this);
    for (let i = 0; i < pairs.length; i++) if (pairs[i][0] === `${name}`) push(found, pairs[i][1]);
    return found;
  }
  has(name, value) {
    const all = this.getAll(name);
    if (value === undefined) return all.length > 0;
    for (let i = 0; i < all.length; i++) if (all[i] === `${value}`) return true;
    return false;
  }
  set(name, value) {
    const kept = [];
    let done = false;
    const pairs = pairsOf(this);
    for (let i = 0; i < pairs.length; i++) {
      if (pairs[i][0] !== `${name}`) push(kept, pairs[i]);
      else if (!done) {
        push(kept, [`${name}`, `${value}`]);
        done = true;
      }
    }
    if (!done) push(kept, [`${name}`, `${value}`]);
    changed(this, kept);
  }
  sort() { changed(this, P.sort(pairsOf(this), (a, b) => compareText(a[0], b[0]))); }
  forEach(f, self) {
    const pairs = pairsOf(this);
    for (let i = 0; i < pairs.length; i++) ReflectApply(f, self, [pairs[i][1], pairs[i][0], this]);
  }
  entries() { return walk(pairsOf(this), (pair) => [pair[0], pair[1]]); }
  keys() { return walk(pairsOf(this), (pair) => pair[0]); }
  values() { return walk(pairsOf(this), (pair) => pair[1]); }
  [Symbol.iterator]() { return this.entries(); }
  toString() {
    let text = "";
    const pairs = pairsOf(this);
    for (let i = 0; i < pairs.length; i++) text += `${i > 0 ? "&" : ""}${formEscaped(pairs[i][0])}=${formEscaped(pairs[i][1])}`;
    return text;
  }
}
