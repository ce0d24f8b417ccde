
// Shows what was checked. Texts of entries become text nodes alone.
const by = (id) => document.getElementById(id);
const PAGE = 100, CELL = 200, DETAIL = 100000;
const UNSEEN = /[\u0000-\u001f\u007f-\u009f\u00ad\u061c\u180e\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb\u{e0000}-\u{e007f}]|[\ud800-\udfff]/gu;

// What has no glyph or turns the direction of text around is shown by its number.
const seen = (text) => text.replace(UNSEEN, (character) => `\\u{${character.codePointAt(0).toString(16)}}`);
function cut(text, most) {
  const short = text.length > most ? `${text.slice(0, most)}… (${text.length} characters)` : text;
  return seen(short);
}
function element(name, text, ...children) {
  const made = document.createElement(name);
  if (text !== undefined) made.textContent = text;
  made.append(...children);
  return made;
}

const page = { evidence: null, own: null, pasted: null, order: "index", down: false, at: 0, list: [], open: new Set() };

// Whether the entries hang on a key: "good", "bad", "own" (only the page's key), "unchecked".
function anchor() {
  if (page.evidence.note === null || page.own?.error || page.pasted?.error) return "bad";
  if (page.own?.holds === null || page.pasted?.holds === null) return "unchecked";
  return page.pasted ? "good" : "own";
}

function stateOf(entry) {
  if (entry.state === "failed") return "FAILED: " + entry.why;
  const sure = { good: "Verified", own: "Consistent, key not confirmed", unchecked: "Consistent, signature not checked", bad: "NOT VERIFIED" }[anchor()];
  const more = { erased: "; personal part erased", withheld: "; personal part withheld" }[entry.state] ?? "";
  return sure + more;
}

function verdict() {
  const { evidence } = page, title = by("verdict-title"), text = by("verdict-text");
  const tampered = evidence.found > 0 || page.own?.error;
  let say;
  if (tampered) {
    say = ["bad", "TAMPERED OR DAMAGED: this report does not verify", `What does not hold is listed below, ${evidence.found + (page.own?.error ? 1 : 0)} in all. Do not rely on the rest without knowing why.`];
  } else if (page.pasted?.error) {
    say = ["bad", "NOT VERIFIED under the key that was pasted", page.pasted.error];
  } else if (anchor() === "unchecked") {
    say = ["wait", "The signature was NOT CHECKED", "This browser has no Ed25519. The entries fit the checkpoint, but who signed it is unknown. Save the evidence and run: audittrail verify FILE --key VKEY"];
  } else if (anchor() === "own") {
    say = ["wait", "Consistent, but the log's key is NOT CONFIRMED", "Everything in this page fits together and is signed by the key in it. That shows nothing until you compare this key with one from elsewhere: paste it below."];
  } else {
    say = ["good", "VERIFIED under the key that was pasted", evidence.header.complete
      ? "Every entry here is in the log, unchanged, and none of the range is left out."
      : "Every entry here is in the log, unchanged. It is a selection: nothing shows that none was left out."];
  }
  by("verdict").className = say[0];
  title.textContent = say[1];
  text.textContent = seen(say[2]);
}

async function trust(vkey) {
  try { return { holds: await signed(page.evidence.note, vkey) }; } catch (error) { return { error: error.message }; }
}

let turns = 0;
async function paste() {
  const text = by("key").value.trim(), turn = ++turns;
  const state = text === "" || !page.evidence.note ? null : await trust(text);
  if (turn !== turns) return;
  page.pasted = state;
  by("key-state").textContent = !page.evidence.note ? "There is no checkpoint that a key could confirm."
    : state === null ? "No key was pasted."
    : state.error ? `This key does not confirm the report: ${seen(state.error)}.`
      : state.holds === null ? "The signature cannot be checked in this browser."
        : "This key signed the checkpoint.";
  verdict();
  rows();
}

async function about() {
  const { evidence } = page, { header, note } = evidence;
  const say = (name, value) => by("about").append(element("dt", name), element("dd", cut(value, 5000)));
  if (!header) return;
  const count = (state) => evidence.entries.filter((entry) => entry.state === state).length;
  const filter = Object.entries(header.filter).map(([name, value]) => `${name}=${value}`).join(" ");
  say("Log", header.origin);
  say("Verifier key", header.vkey);
  say("Filter", filter === "" ? "none (nothing proves what the filter was)" : `${filter} (as the file says: nothing proves it)`);
  const holds = evidence.found === 0;
  say("Extent", !header.complete ? "a selection: it never shows that none was left out"
    : holds ? `complete: every entry from ${header.complete[0]} to ${header.complete[1]} is here`
      : `NOT complete, although the file says so of ${header.complete[0]} to ${header.complete[1]}`);
  say("Entries", `${evidence.lines}: ${count("proven")} whole, ${count("erased")} erased, ${count("withheld")} withheld, ${evidence.failed} failed`);
  if (note) {
    say("Log size", `${note.size} entries under the checkpoint`);
    say("Checkpoint", "");
    by("about").lastChild.append(element("pre", seen(note.text).replaceAll("\\u{a}", "\n")));
    say("Cosignatures", await cosignatures(header, note));
  }
  say("Not checked", "the server's own signatures: that takes audittrail verify --signing-key");
  const digest = hex(await sha256(utf8.encode(header.vkey)));
  by("fingerprint").textContent = digest.match(/.{4}/g).join(" ");
  document.title = `AuditTrail report: ${cut(header.origin, CELL)}`;
}

// What others signed the checkpoint. Their keys are not in a file, so that nothing here is checked.
async function cosignatures(header, note) {
  const key = await readKey(header.vkey).catch(() => null);
  const others = note.signatures.filter((one) => key === null || one.name !== key.name || !equal(one.id, key.id));
  return others.length === 0 ? "none"
    : `NOT CHECKED, since this page has no witness's key (audittrail verify --policy checks them); signatures that say they are by ${others.map((one) => one.name).join(", ")}`;
}

function findings() {
  const { evidence } = page, list = [...evidence.findings];
  if (page.own?.error) list.unshift({ check: "checkpoint", detail: page.own.error });
  by("findings-part").hidden = list.length === 0;
  for (const one of list) {
    const where = one.index !== undefined ? `entry ${one.index}${one.line ? ` (line ${one.line})` : ""}: ` : one.line ? `line ${one.line}: ` : "";
    by("findings").append(element("li", cut(`${where}${one.check}: ${one.detail}`, 1000)));
  }
  const more = evidence.found - evidence.findings.length;
  if (more > 0) by("findings").append(element("li", `and ${more} more`));
}

const COLUMNS = {
  index: (entry) => entry.index ?? -1,
  when: (entry) => entry.leaf?.timestamp ?? "",
  who: (entry) => typeof entry.sealed?.user_id === "string" ? entry.sealed.user_id : "",
  what: (entry) => entry.leaf?.action ?? "",
  resource: (entry) => typeof entry.sealed?.resource === "string" ? entry.sealed.resource : "",
  outcome: (entry) => entry.leaf?.outcome ?? "",
  state: stateOf,
};

function choose() {
  const word = by("search").value.toLowerCase(), only = by("only").value, value = COLUMNS[page.order];
  const has = (entry) => word === "" || `${entry.index} ${entry.leafText ?? entry.why} ${entry.sealedText ?? ""}`.toLowerCase().includes(word);
  page.list = page.evidence.entries.filter((entry) => (only === "" || entry.state === only) && has(entry));
  const keyed = page.list.map((entry) => [value(entry), entry]);
  keyed.sort(([a], [b]) => (a < b ? -1 : a > b ? 1 : 0) * (page.down ? -1 : 1));
  page.list = keyed.map(([, entry]) => entry);
  page.at = 0;
  rows();
}

function rows() {
  const shown = page.list.slice(page.at, page.at + PAGE);
  by("rows").replaceChildren(...shown.flatMap(row));
  by("place").textContent = page.list.length === 0 ? "no entries" : `${page.at + 1} to ${page.at + shown.length} of ${page.list.length}`;
  by("back").disabled = page.at === 0;
  by("on").disabled = page.at + PAGE >= page.list.length;
}

const time = (text) => text === undefined ? "" : `${text.slice(0, 10)} ${text.slice(11, -1).replace(/\.?0+$/, "")} UTC`;

function row(entry) {
  const absent = { erased: "(erased)", withheld: "(withheld)", failed: "(not shown: failed)" }[entry.state] ?? "";
  const made = element("tr");
  made.className = entry.state;
  const open = element("button", String(entry.index ?? "?"));
  open.type = "button";
  open.ariaExpanded = String(page.open.has(entry));
  open.title = "Details";
  open.addEventListener("click", () => {
    if (!page.open.delete(entry)) page.open.add(entry);
    rows();
  });
  made.append(element("td", undefined, open), element("td", time(entry.leaf?.timestamp)));
  for (const text of [COLUMNS.who(entry) || absent, COLUMNS.what(entry), COLUMNS.resource(entry) || absent, COLUMNS.outcome(entry)]) {
    made.append(element("td", cut(text, CELL)));
  }
  made.append(element("td", cut(stateOf(entry), 500)));
  return page.open.has(entry) ? [made, details(entry)] : [made];
}

function details(entry) {
  const cell = element("td"), list = element("dl");
  const say = (name, value) => list.append(element("dt", name), element("dd", cut(value, DETAIL)));
  cell.colSpan = 7;
  if (entry.state === "failed") {
    say("Unproven", "This line of the evidence does not hold. Its text says nothing about the log.");
    say("Line, as it is", entry.raw ?? "(not UTF-8)");
  } else {
    say("Happened", time(entry.leaf.timestamp));
    say("Received", time(entry.leaf.received_at));
    for (const name of ["id", "action", "outcome", "tenant"]) if (name in entry.leaf) say(name, entry.leaf[name]);
    for (const name of ["user_id", "resource", "source_ip"]) if (typeof entry.sealed?.[name] === "string") say(name, entry.sealed[name]);
    if (entry.sealed?.submitted_by) say("submitted_by", JSON.stringify(entry.sealed.submitted_by));
    // Exact, with numbers that a script would round.
    say("Open part, exact", entry.leafText);
    say("Personal part, exact", entry.sealedText ?? `(${entry.state})`);
  }
  cell.append(list);
  return element("tr", undefined, cell);
}

function listen() {
  by("key").addEventListener("input", paste);
  by("search").addEventListener("input", choose);
  by("only").addEventListener("change", choose);
  by("back").addEventListener("click", () => { page.at -= PAGE; rows(); });
  by("on").addEventListener("click", () => { page.at += PAGE; rows(); });
  for (const head of document.querySelectorAll("[data-sort]")) {
    head.addEventListener("click", () => {
      page.down = page.order === head.dataset.sort && !page.down;
      page.order = head.dataset.sort;
      choose();
    });
  }
}

function save(kept) {
  const link = element("a");
  link.href = URL.createObjectURL(new Blob(kept, { type: "application/octet-stream" }));
  link.download = "report.evidence.jsonl";
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 60000);
}

document.addEventListener("DOMContentLoaded", async () => {
  const title = by("verdict-title"), text = by("verdict-text");
  if (!subtle) {
    text.textContent = "This browser gives the page no WebCrypto, so that nothing was checked. Open it as a file, or check the evidence with audittrail verify.";
    return;
  }
  try {
    title.textContent = "Checking…";
    const { evidence, kept } = await check(by("evidence")?.textContent ?? "", (share, lines) => {
      by("progress").value = share;
      text.textContent = `${lines} entries checked so far`;
    });
    page.evidence = evidence;
    if (evidence.note) page.own = await trust(evidence.header.vkey);
    by("progress").hidden = true;
    by("save").disabled = false;
    by("save").addEventListener("click", () => save(kept));
    listen();
    findings();
    await about();
    choose();
    await paste();
  } catch (error) {
    by("verdict").className = "bad";
    title.textContent = "NOT VERIFIED: the check could not be carried out";
    text.textContent = seen(String(error));
  }
  document.body.dataset.done = "yes";
});
