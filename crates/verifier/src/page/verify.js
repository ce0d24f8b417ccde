
"use strict";
// Checks evidence of version 1 as docs/formats.md has it. Nothing here touches the page.
const FINDINGS_KEPT = 1000, WHOLE_EVERY = 1000, LINE_BYTES_MAX = 4 << 20;
const utf8 = new TextEncoder();
const strictly = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });
const subtle = globalThis.crypto?.subtle;

class Wrong extends Error {
  constructor(check, detail) { super(detail); this.check = check; }
}

function joined(...parts) {
  const all = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
  let at = 0;
  for (const part of parts) { all.set(part, at); at += part.length; }
  return all;
}
function equal(a, b) { return a.length === b.length && a.every((byte, at) => byte === b[at]); }
async function sha256(...parts) { return new Uint8Array(await subtle.digest("SHA-256", joined(...parts))); }
const leafHash = (text) => sha256([0], utf8.encode(text));
const nodeHash = (left, right) => sha256([1], left, right);
async function commitment(salt, sealed) {
  const key = await subtle.importKey("raw", salt, { name: "HMAC", hash: "SHA-256" }, false, ["sign"]);
  return new Uint8Array(await subtle.sign("HMAC", key, utf8.encode(sealed)));
}

// Strict: one text for each sequence of bytes, as other readers of the format take it.
function base64(text) {
  let binary;
  try { binary = typeof text === "string" && atob(text); } catch { return null; }
  if (binary === false || btoa(binary) !== text) return null;
  return Uint8Array.from(binary, (character) => character.charCodeAt(0));
}
function base64url(text) {
  if (typeof text !== "string" || /[+/=]/.test(text)) return null;
  const padded = text.replaceAll("-", "+").replaceAll("_", "/");
  return base64(padded + "=".repeat((4 - padded.length % 4) % 4));
}
function hash(text) {
  const bytes = base64(text);
  return bytes?.length === 32 ? bytes : null;
}

const whole = (value) => Number.isSafeInteger(value) && value >= 0;
const isObject = (value) => typeof value === "object" && value !== null && !Array.isArray(value);
const isText = (value) => typeof value === "string" && !/[\ud800-\udfff]/u.test(value);

// A flat object without members that are not known or stand twice.
function members(text, known, check) {
  let value;
  try { value = JSON.parse(text); } catch { throw new Wrong(check, "it is no JSON"); }
  if (!isObject(value)) throw new Wrong(check, "it is no JSON object");
  const names = Object.keys(value);
  for (const name of names) {
    if (!known.includes(name)) throw new Wrong(check, "it has a member that evidence of version 1 does not have");
  }
  let filter = 0;
  if (isObject(value.filter)) filter = Object.keys(value.filter).length;
  let found = 0;
  for (const token of text.matchAll(/"(?:[^"\\]|\\.)*"(\s*:)?/g)) found += token[1] === undefined ? 0 : 1;
  if (found !== names.length + filter) throw new Wrong(check, "a member is there twice");
  return value;
}

function readHeader(text) {
  const header = members(text, ["evidence", "origin", "vkey", "checkpoint", "filter", "complete", "withhold"], "header");
  const range = header.complete;
  const sound = header.evidence === 1 && [header.origin, header.vkey, header.checkpoint].every(isText)
    && isObject(header.filter) && Object.values(header.filter).every(isText)
    && (range === null || (Array.isArray(range) && range.length === 2 && range.every(whole)))
    && (!("withhold" in header) || header.withhold === "sealed");
  if (!sound) throw new Wrong("header", "this is not evidence of version 1");
  return header;
}

function readNote(note) {
  const at = note.lastIndexOf("\n\n");
  if (at < 0 || !note.endsWith("\n") || /[\u0000-\u0009\u000b-\u001f\u007f]/.test(note)) {
    throw new Wrong("checkpoint", "it is not a signed note");
  }
  const text = note.slice(0, at + 1);
  const signatures = note.slice(at + 2, -1).split("\n").map((line) => {
    const parts = /^\u2014 (\S+) (\S+)$/.exec(line);
    const bytes = parts && base64(parts[2]);
    if (!bytes || bytes.length < 5) throw new Wrong("checkpoint", "a signature line has another form");
    return { name: parts[1], id: bytes.subarray(0, 4), signature: bytes.subarray(4) };
  });
  const lines = text.slice(0, -1).split("\n");
  const [origin, size, root] = lines;
  const bytes = hash(root);
  if (lines.includes("") || !/^(0|[1-9][0-9]*)$/.test(size) || !whole(Number(size)) || !bytes) {
    throw new Wrong("checkpoint", "the note is not a checkpoint");
  }
  return { text, signatures, origin, size: Number(size), root: bytes };
}

async function readKey(vkey) {
  const parts = /^([^+\s]+)\+([0-9a-f]{8})\+(.+)$/.exec(vkey);
  const bytes = parts && base64(parts[3]);
  if (!bytes || bytes.length !== 33 || bytes[0] !== 1) throw new Wrong("key", "it is no verifier key: name+8 hex digits+base64");
  const id = (await sha256(utf8.encode(parts[1]), [10], bytes)).subarray(0, 4);
  if (hex(id) !== parts[2]) throw new Wrong("key", "the key ID does not belong to the name and the key");
  return { name: parts[1], id, bytes: bytes.subarray(1) };
}
const hex = (bytes) => Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");

// True, or null where the browser has no Ed25519; throws what is wrong.
async function signed(note, vkey) {
  const key = await readKey(vkey);
  if (key.name !== note.origin) throw new Wrong("checkpoint", "the checkpoint is of another log than the key");
  const by = note.signatures.filter((one) => one.name === key.name && equal(one.id, key.id));
  if (by.length === 0) throw new Wrong("checkpoint", "this key did not sign the checkpoint");
  let imported;
  try {
    imported = await subtle.importKey("raw", key.bytes, { name: "Ed25519" }, false, ["verify"]);
  } catch (error) {
    if (error.name === "NotSupportedError" || error.name === "SyntaxError") return null;
    throw new Wrong("checkpoint", "the key is no Ed25519 public key");
  }
  for (const one of by) {
    if (!await subtle.verify({ name: "Ed25519" }, imported, one.signature, utf8.encode(note.text))) {
      throw new Wrong("checkpoint", "the checkpoint's signature by this key does not hold");
    }
  }
  return true;
}

// Known subtrees to the right of the last proven leaf, the nearest last.
class Chain {
  constructor(size, root) {
    this.size = size;
    this.known = size > 0 ? [{ start: 0, end: size, hash: root, failed: null }] : [];
  }
  async take(index, leaf, proof) {
    const at = this.known.findLastIndex((one) => one.start <= index && index < one.end);
    if (at < 0) throw new Wrong("inclusion", "the index is not above those before it, or the log has no such entry");
    const known = this.known[at], steps = [];
    for (let { start, end } = known; end - start > 1;) {
      let half = 1;
      while (half * 2 < end - start) half *= 2;
      const middle = start + half, left = index >= middle;
      steps.push(left ? { start, end: middle, left } : { start: middle, end, left });
      if (left) start = middle; else end = middle;
    }
    const error = await this.wrong(steps, leaf, proof, known.hash);
    if (error) {
      const after = proof.length < steps.length ? known.failed : null;
      known.failed ??= index;
      throw new Wrong("inclusion", after === null ? error : `its proof builds on that of entry ${after}, which does not hold`);
    }
    this.known.length = at;
    steps.forEach((step, depth) => {
      if (!step.left) this.known.push({ ...step, hash: proof[proof.length - 1 - depth], failed: null });
    });
  }
  async wrong(steps, leaf, proof, root) {
    if (proof.length !== steps.length) {
      return `the proof has ${proof.length} hashes, ${steps.length} are needed: the line before it is missing or failed, or index or proof was changed`;
    }
    let current = leaf;
    for (let height = 0; height < proof.length; height++) {
      const step = steps[steps.length - 1 - height];
      current = step.left ? await nodeHash(proof[height], current) : await nodeHash(current, proof[height]);
    }
    return equal(current, root) ? null
      : "leaf and proof do not give the root of the tree: the leaf, the index or the proof was changed";
  }
}

const TIME = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{9}Z$/;

function readLeaf(text) {
  let leaf;
  try { leaf = JSON.parse(text); } catch { throw new Wrong("leaf", "it is no JSON"); }
  const needed = isObject(leaf) && leaf.v === 1 && [leaf.action, leaf.id, leaf.received_at, leaf.sealed, leaf.timestamp].every(isText)
    && [leaf.outcome, leaf.tenant].every((value) => value === undefined || isText(value))
    && [leaf.received_at, leaf.timestamp].every((time) => TIME.test(time));
  const names = ["action", "id", "outcome", "received_at", "sealed", "tenant", "timestamp", "v"];
  const canonical = needed && JSON.stringify(Object.fromEntries(names.filter((name) => name in leaf).map((name) => [name, leaf[name]])));
  if (canonical !== text) throw new Wrong("leaf", "it is no leaf of version 1");
  return leaf;
}

// The ranges that an erasure names, docs/formats.md "Erased and withheld".
function erasedRanges(entry) {
  const ranges = entry.leaf.action === "audittrail.erasure" ? entry.sealed?.details?.ranges : null;
  let next = 0;
  if (!Array.isArray(ranges)) return [];
  for (const range of ranges) {
    const sound = Array.isArray(range) && range.length === 2 && range.every(whole)
      && range[0] >= next && range[0] <= range[1] && range[1] < entry.index;
    if (!sound) return [];
    next = range[1] + 1;
  }
  return ranges;
}

const ENTRY = ["index", "leaf", "sealed", "salt", "signature", "key_id", "proof"];

// Takes the lines of a file in order; `entries` and `findings` say what came of them.
class Evidence {
  constructor() {
    Object.assign(this, { header: null, note: null, entries: [], findings: [], found: 0, lines: 0, last: -1, next: 0, absent: 0, end: null, after: false, failed: 0, chain: null });
  }
  find(check, detail, line, entry) {
    this.found += 1;
    if (this.findings.length < FINDINGS_KEPT) this.findings.push({ check, detail, line, index: entry?.index });
  }
  text(bytes) {
    if (bytes.length > LINE_BYTES_MAX) throw new Wrong("line", "the line is too long");
    try { return strictly.decode(bytes); } catch { throw new Wrong("line", "it is not UTF-8"); }
  }
  begin(bytes) {
    try {
      this.header = readHeader(this.text(bytes));
      this.note = readNote(this.header.checkpoint);
    } catch (error) { return this.find(error.check ?? "header", error.message); }
    const { header, note } = this;
    this.next = header.complete?.[0] ?? 0;
    if (header.origin !== note.origin) this.find("origin", "the header names another log than the checkpoint");
    if (header.complete && (header.complete[0] > header.complete[1] || header.complete[1] >= note.size)) {
      this.find("complete", `there is no such range in a log of ${note.size} entries`);
    }
  }
  async line(bytes) {
    const number = this.lines + 2;
    if (this.end !== null) {
      if (!this.after) this.find("end", "something follows the last line; it was not looked at", number);
      this.after = true;
      return;
    }
    const entry = { line: number, raw: null, index: undefined, state: "failed", why: "", leaf: null, sealed: null };
    try {
      entry.raw = this.text(bytes);
      const value = members(entry.raw, [...ENTRY, "error", "end", "count"], "line");
      if (value.end === true && whole(value.count) && Object.keys(value).length === 2) {
        this.end = value.count;
        if (this.end !== this.lines) this.find("count", `the last line says that ${this.end} lines precede it, there are ${this.lines}`, number);
        return;
      }
      if (this.lines % WHOLE_EVERY === 0) this.chain = new Chain(this.note.size, this.note.root);
      await this.entry(entry, value);
    } catch (error) {
      if (!(error instanceof Wrong)) throw error;
      entry.state = "failed";
      entry.why = `${error.check}: ${error.message}`;
      this.failed += 1;
      this.find(error.check, error.message, number, entry);
      // A line that cannot be read has been one, too: the chain begins anew with its number.
      if (this.lines % WHOLE_EVERY === 0 && entry.index === undefined) this.chain = new Chain(this.note.size, this.note.root);
    }
    this.lines += 1;
    this.entries.push(entry);
  }
  async entry(entry, value) {
    const names = Object.keys(value);
    if (whole(value.index)) entry.index = value.index;
    if (names.length === 2 && entry.index !== undefined && isText(value.error)) {
      this.place(entry.index);
      this.present(entry, false);
      throw new Wrong("server", `the server exported it as failed: ${value.error}`);
    }
    const proof = Array.isArray(value.proof) && value.proof.length <= 64 ? value.proof.map(hash) : [null];
    const has = "sealed" in value, salt = has ? base64url(value.salt) : null;
    const sound = entry.index !== undefined && isText(value.leaf) && has === "salt" in value && !names.some((name) => !ENTRY.includes(name))
      && (!has || (isText(value.sealed) && salt?.length === 32))
      && /^[0-9a-f]{64}$/.test(value.signature) && /^[0-9a-f]{8}$/.test(value.key_id) && !proof.includes(null);
    if (!sound) throw new Wrong("line", "members are missing or have another form");
    const reasons = [];
    const attempt = async (step) => { try { return await step(); } catch (error) { if (!(error instanceof Wrong)) throw error; reasons.push(error); } };
    const leaf = await attempt(async () => readLeaf(value.leaf));
    const included = await attempt(async () => { await this.chain.take(entry.index, await leafHash(value.leaf), proof); return true; });
    const fits = !leaf || !has || equal(await commitment(salt, value.sealed), base64url(leaf.sealed) ?? []);
    this.place(entry.index);
    if (included) this.last = entry.index;
    this.present(entry, included && fits && leaf?.action === "audittrail.erasure");
    if (reasons.length > 0) throw reasons[0];
    if (!fits) throw new Wrong("commitment", "the sealed part does not fit the commitment in the leaf");
    entry.leaf = leaf;
    entry.leafText = value.leaf;
    if (has) {
      try { entry.sealed = JSON.parse(value.sealed); } catch { throw new Wrong("commitment", "the sealed part is no JSON"); }
      entry.sealedText = value.sealed;
      entry.state = "proven";
    } else {
      entry.state = this.header.withhold ? "withheld" : "missing";
    }
    for (const [first, last] of erasedRanges(entry)) {
      for (const one of this.entries) if (one.state === "missing" && one.index >= first && one.index <= last) one.state = "erased";
    }
  }
  place(index) {
    if (index >= this.note.size) throw new Wrong("inclusion", `the log of the checkpoint has ${this.note.size} entries`);
    if (index === this.last) throw new Wrong("duplicate", "the index is there twice");
    if (index < this.last) throw new Wrong("order", `the index comes after index ${this.last}`);
  }
  present(entry, isErasure) {
    const range = this.header.complete;
    if (!range) return;
    if (entry.index < range[0] || entry.index > range[1]) {
      if (!isErasure) this.find("complete", `it is not within ${range[0]} to ${range[1]}, which the header names`, entry.line, entry);
      return;
    }
    this.gap(entry.index, entry);
    this.next = entry.index + 1;
  }
  gap(until, entry) {
    if (until > this.next) this.find("complete", `the header says that no entry is left out, but ${this.next} to ${until - 1} are missing here`, entry?.line, entry);
  }
  finish(rest) {
    if (rest > 0) this.find("end", "the file ends within a line");
    for (const one of this.entries) {
      if (one.state !== "missing") continue;
      one.state = "failed";
      one.why = "erasure: its sealed part is missing, and no erasure that is proven here covers it";
      this.failed += 1;
      this.find("erasure", one.why.slice(9), one.line, one);
    }
    if (this.end === null) this.find("end", `the file was cut short: its last line is missing after ${this.lines} entries`);
    const range = this.header?.complete;
    if (range && this.note && range[1] < this.note.size) this.gap(range[1] + 1);
  }
}

// Reads the lines of base64 in the page, and gives the page a turn now and then.
async function check(text, progress) {
  const evidence = new Evidence(), kept = [];
  let rest = new Uint8Array(0), at = 0, first = true, turn = performance.now();
  while (at < text.length) {
    let end = text.indexOf("\n", at);
    if (end < 0) end = text.length;
    const line = text.slice(at, end);
    at = end + 1;
    if (line === "") continue;
    const bytes = base64(line);
    if (!bytes) { evidence.find("page", "the evidence in this page is damaged: it is not base64"); break; }
    kept.push(bytes);
    rest = joined(rest, bytes);
    for (let cut; (cut = rest.indexOf(10)) >= 0; rest = rest.subarray(cut + 1)) {
      const one = rest.subarray(0, cut);
      if (first) evidence.begin(one); else await evidence.line(one);
      first = false;
      if (!evidence.note) return { evidence, kept };
      if (performance.now() - turn > 40) {
        progress(at / text.length, evidence.lines);
        await new Promise((done) => setTimeout(done));
        turn = performance.now();
      }
    }
    if (rest.length > LINE_BYTES_MAX) break;
  }
  if (first) evidence.find("end", "the page has no evidence, or was cut short");
  evidence.finish(rest.length);
  return { evidence, kept };
}
