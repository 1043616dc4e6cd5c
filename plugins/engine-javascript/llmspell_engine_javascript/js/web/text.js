// Text and bytes.

const REPLACEMENT = 0xfffd;

function codePoint(text, at) {
  const code = P.codePointAt(text, at);
  return code >= 0xd800 && code <= 0xdfff ? REPLACEMENT : code;
}

function utf8Length(code) {
  return code < 0x80 ? 1 : code < 0x800 ? 2 : code < 0x10000 ? 3 : 4;
}

function writeUtf8(bytes, at, code) {
  const size = utf8Length(code);
  if (size === 1) bytes[at] = code;
  else {
    for (let i = size - 1; i > 0; i--) {
      bytes[at + i] = 0x80 | (code & 0x3f);
      code >>= 6;
    }
    bytes[at] = (0xf0 << (4 - size)) & 0xff | code;
  }
  return size;
}

function utf8(text) {
  let size = 0;
  for (let i = 0; i < text.length; i++) {
    const code = codePoint(text, i);
    size += utf8Length(code);
    if (code > 0xffff) i++;
  }
  const bytes = new P.Uint8Array(size);
  let at = 0;
  for (let i = 0; i < text.length; i++) {
    const code = codePoint(text, i);
    at += writeUtf8(bytes, at, code);
    if (code > 0xffff) i++;
  }
  return bytes;
}

class TextEncoder {
  get encoding() { return "utf-8"; }
  encode(text = "") { return utf8(`${text}`); }
  encodeInto(text, bytes) {
    text = `${text}`;
    let read = 0;
    let written = 0;
    while (read < text.length) {
      const code = codePoint(text, read);
      if (written + utf8Length(code) > bytes.length) break;
      written += writeUtf8(bytes, written, code);
      read += code > 0xffff ? 2 : 1;
    }
    return { read, written };
  }
}

const LABELS = {
  __proto__: null, "utf-8": "utf-8", utf8: "utf-8", "unicode-1-1-utf-8": "utf-8", "utf-16le": "utf-16le", "utf-16": "utf-16le",
  latin1: "windows-1252", ascii: "windows-1252", "us-ascii": "windows-1252", "iso-8859-1": "windows-1252",
  "windows-1252": "windows-1252",
};
const HIGH_1252 = "\u20AC\x81\u201A\u0192\u201E\u2026\u2020\u2021\u02C6\u2030\u0160\u2039\u0152\x8D\u017D\x8F\x90\u2018\u2019\u201C"
  + "\u201D\u2022\u2013\u2014\u02DC\u2122\u0161\u203A\u0153\x9D\u017E\u0178";

function bytesOf(input) {
  if (input === undefined) return new P.Uint8Array(0);
  if (P.isView(input)) return new P.Uint8Array(input.buffer, input.byteOffset, input.byteLength);
  if (P.isBuffer(input)) return new P.Uint8Array(input);
  throw new TypeErrorOf("an ArrayBuffer or a view of one is expected");
}

// Pieces of text are joined as they fill up: one call of fromCodePoint for each character would be slow.
function textSink() {
  let text = "";
  let codes = [];
  const flush = () => {
    text += ReflectApply(P.fromCodePoint, undefined, codes);
    codes = [];
  };
  return {
    add(code) {
      push(codes, code);
      if (codes.length > 2000) flush();
    },
    end() {
      flush();
      return text;
    },
  };
}

// The length of the sequence that begins with this byte, 0: none does; and the bounds of its second byte.
function sequence(byte) {
  if (byte < 0x80) return 1;
  if (byte >= 0xc2 && byte <= 0xdf) return 2;
  if (byte >= 0xe0 && byte <= 0xef) return 3;
  return byte >= 0xf0 && byte <= 0xf4 ? 4 : 0;
}

function secondFits(first, second) {
  const low = first === 0xe0 ? 0xa0 : first === 0xf0 ? 0x90 : 0x80;
  const high = first === 0xed ? 0x9f : first === 0xf4 ? 0x8f : 0xbf;
  return second >= low && second <= high;
}

// The text of UTF-8, and how many bytes at the end are an unfinished character.
function decodeUtf8(bytes, fatal, more) {
  const out = textSink();
  let i = 0;
  while (i < bytes.length) {
    const first = bytes[i];
    const size = sequence(first);
    let taken = 1;
    while (taken < size && i + taken < bytes.length) {
      const next = bytes[i + taken];
      if (taken === 1 ? !secondFits(first, next) : next < 0x80 || next > 0xbf) break;
      taken++;
    }
    if (size > 0 && taken === size) {
      let code = size === 1 ? first : first & (0xff >> (size + 1));
      for (let k = 1; k < size; k++) code = (code << 6) | (bytes[i + k] & 0x3f);
      out.add(code);
    } else if (more && size > 0 && i + taken === bytes.length) break;
    else if (fatal) throw new TypeErrorOf("the encoded data was not valid utf-8");
    else out.add(REPLACEMENT);
    i += taken;
  }
  return { text: out.end(), rest: bytes.length - i };
}

function decodeUtf16(bytes, fatal, more) {
  const out = textSink();
  const unit = (at) => bytes[at] | (bytes[at + 1] << 8);
  let i = 0;
  for (; i + 1 < bytes.length; i += 2) {
    const code = unit(i);
    const high = code >= 0xd800 && code <= 0xdbff;
    if (high && i + 3 >= bytes.length && more) break;
    const low = high && i + 3 < bytes.length ? unit(i + 2) : 0;
    if (low >= 0xdc00 && low <= 0xdfff) {
      out.add(((code - 0xd800) << 10) + (low - 0xdc00) + 0x10000);
      i += 2;
    } else if (code >= 0xd800 && code <= 0xdfff) {
      if (fatal) throw new TypeErrorOf("the encoded data was not valid utf-16le");
      out.add(REPLACEMENT);
    } else out.add(code);
  }
  if (i < bytes.length && !more) {
    if (fatal) throw new TypeErrorOf("the encoded data was not valid utf-16le");
    out.add(REPLACEMENT);
    i = bytes.length;
  }
  return { text: out.end(), rest: bytes.length - i };
}

function decodeLatin(bytes) {
  const out = textSink();
  for (let i = 0; i < bytes.length; i++) {
    const byte = bytes[i];
    out.add(byte >= 0x80 && byte <= 0x9f ? P.charCodeAt(HIGH_1252, byte - 0x80) : byte);
  }
  return { text: out.end(), rest: 0 };
}

class TextDecoder {
  #encoding; #fatal; #ignoreBOM; #kept = new P.Uint8Array(0); #begun = false;
  constructor(label = "utf-8", { fatal = false, ignoreBOM = false } = {}) {
    this.#encoding = LABELS[toLowerCase(trim(`${label}`))];
    if (this.#encoding === undefined) throw new P.RangeError(`the encoding '${label}' is not supported; utf-8, utf-16le and latin1 are`);
    this.#fatal = Boolean(fatal);
    this.#ignoreBOM = Boolean(ignoreBOM);
  }
  get encoding() { return this.#encoding; }
  get fatal() { return this.#fatal; }
  get ignoreBOM() { return this.#ignoreBOM; }
  decode(input, { stream = false } = {}) {
    let bytes = bytesOf(input);
    if (this.#kept.length > 0) {
      const joined = new P.Uint8Array(this.#kept.length + bytes.length);
      P.setBytes(joined, this.#kept);
      P.setBytes(joined, bytes, this.#kept.length);
      bytes = joined;
    }
    const decode = this.#encoding === "utf-8" ? decodeUtf8 : this.#encoding === "utf-16le" ? decodeUtf16 : decodeLatin;
    let { text, rest } = decode(bytes, this.#fatal, stream);
    this.#kept = rest > 0 ? P.sliceBytes(bytes, bytes.length - rest) : new P.Uint8Array(0);
    if (!this.#begun && text !== "") {
      if (!this.#ignoreBOM && this.#encoding !== "windows-1252" && P.charCodeAt(text, 0) === 0xfeff) text = slice(text, 1);
      this.#begun = true;
    }
    if (!stream) this.#begun = false;
    return text;
  }
}
