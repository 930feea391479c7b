// Notes, policies, receipts, records and openings: what `titer.provenance.ledger` reads, read the same way.
/* global SCHEMA */

const [ED25519, COSIGNATURE, ML_DSA_44] = [1, 4, 6];
const KEY_BYTES = { 1: 32, 4: 32, 6: 1312 };
const SIGNATURE_BYTES = { 1: 64, 4: 72, 6: 2428 };
const LATEST = (1n << 63n) - 1n;
const EXACT = Number.MAX_SAFE_INTEGER;
// The characters that Python counts as space, with all control characters.
const NAME = "[^\\x00-\\x20\\x85\\xa0\\u1680\\u2000-\\u200a\\u2028\\u2029\\u202f\\u205f\\u3000+]+";

function number(text) {
  if (!/^(?:0|[1-9][0-9]{0,18})$/.test(text)) refuse("checkpoint.invalid", "a number that is not in plain decimal digits");
  return BigInt(text);
}

async function parseKey(text) {
  const found = new RegExp(`^(${NAME})\\+([0-9a-f]{8})\\+([A-Za-z0-9+/]+=*)$`).exec(text);
  if (!found) refuse("key.invalid", "a key that is not name+identifier+key");
  const raw = fromBase64(found[3]);
  const [name, kind, key] = [found[1], raw[0], raw.slice(1)];
  if (key.length !== KEY_BYTES[kind]) refuse("key.invalid", `a key of ${key.length} bytes of the kind ${kind}`);
  const id = hex((await sha256(utf8(name), utf8("\n"), raw)).slice(0, 4));
  if (id !== found[2]) refuse("key.invalid", `the identifier ${found[2]} for a key that has ${id}`);
  return { name, kind, key, id };
}

function parseNote(raw) {
  if (raw.length > 1 << 17) refuse("note.invalid", "a note that is too long");
  const whole = fromUtf8(raw, "note.invalid", "a note that is not UTF-8");
  const gap = whole.lastIndexOf("\n\n");
  const lines = whole.slice(gap + 2).split("\n");
  if (gap < 0 || lines.length < 2 || lines.pop()) refuse("note.invalid", "a note without signature lines");
  const text = whole.slice(0, gap + 1);
  if (/[\x00-\x09\x0b-\x1f]/.test(text)) refuse("note.invalid", "a note with control characters");
  const signatures = lines.map((line) => {
    const found = new RegExp(`^— (${NAME}) ([A-Za-z0-9+/]+=*)$`).exec(line);
    const value = found ? fromBase64(found[2]) : [];
    if (value.length < 5) refuse("note.invalid", "a line that is no signature");
    return { name: found[1], id: hex(value.slice(0, 4)), value: value.slice(4) };
  });
  return { text, signatures };
}

function parseCheckpoint(text) {
  const lines = text.split("\n");
  if (lines.length < 4 || lines.pop() || lines.some((line) => !line)) refuse("checkpoint.invalid", "a checkpoint that lacks lines");
  const [origin, size, root] = [lines[0], number(lines[1]), fromBase64(lines[2])];
  if (size > LATEST || root.length !== 32) refuse("checkpoint.invalid", "a checkpoint with another size or root");
  return { origin, size, root };
}

// What a key signs: C2SP signed-note and tlog-cosignature.
function message(key, text, time) {
  if (key.kind === ED25519) return utf8(text);
  if (key.kind === COSIGNATURE) return utf8(`cosignature/v1\ntime ${time}\n${text}`);
  const { origin, size, root } = parseCheckpoint(text);
  const [cosigner, log] = [utf8(key.name), utf8(origin)];
  if (Math.max(cosigner.length, log.length) > 255) refuse("note.invalid", "names that are too long");
  return joined(
    utf8("subtree/v1\n\0"), Uint8Array.of(cosigner.length), cosigner, uint(time, 8),
    Uint8Array.of(log.length), log, uint(0, 8), uint(size, 8), root,
  );
}

// The time that a signature tells, once it has proved right.
async function checkSignature(key, text, value) {
  const wrong = () => refuse("note.signature", `a wrong signature under the name ${key.name}`);
  if (value.length !== SIGNATURE_BYTES[key.kind]) wrong();
  const time = key.kind === ED25519 ? 0n : fromUint(value.slice(0, 8));
  const signature = key.kind === ED25519 ? value : value.slice(8);
  if (time > LATEST) wrong();
  const check = key.kind === ML_DSA_44 ? mldsa : ed25519;
  if (!(await check(key.key, signature, message(key, text, time)))) wrong();
  return time;
}

async function parsePolicy(raw) {
  // Bytes are taken as they are: names count by their bytes, not by what they look like.
  const text = latin1(raw);
  const wrong = (line, what) => refuse("policy.invalid", `line ${line} of the policy, ${what}`);
  if (raw.length > 1 << 18 || !/^[\t\n\x20-\x7e\x80-\xff]*$/.test(text)) wrong(0, "with other characters than text");
  const policy = { logs: [], witnesses: new Map(), groups: new Map(), quorum: null, roles: new Map(), administrators: new Set() };
  const members = new Set();
  const known = (name) => policy.witnesses.has(name) || policy.groups.has(name);
  const add = async (line, told, others, kinds) => {
    const octets = Uint8Array.from(told, (letter) => letter.charCodeAt(0));
    const key = await parseKey(fromUtf8(octets, "policy.invalid", "a key that is not UTF-8"));
    if (!kinds.includes(key.kind) || others.some((each) => equal(each.key, key.key))) wrong(line, "a key of another kind, or twice");
    return key;
  };
  for (const [at, line] of text.split("\n").entries()) {
    const words = line.split(/[ \t]+/).filter(Boolean);
    if (words[0] === "#titer") {
      const [, task, key] = words;
      const known = ["capture", "derive", "administrator"].includes(task);
      if (words.length !== 3 || !known || !/^[0-9a-f]{64}$/.test(key)) wrong(at + 1, "without a task and a key of 64 digits");
      const tasks = policy.administrators.has(key) ? ["administrator"] : policy.roles.get(key) ?? [];
      if (tasks.includes(task) || (tasks.length && [task, ...tasks].includes("administrator"))) wrong(at + 1, "with a key that has its task");
      if (task === "administrator") policy.administrators.add(key);
      else policy.roles.set(key, [...tasks, task]);
      continue;
    }
    if (!words.length || words[0].startsWith("#")) continue;
    const [what, name, second, ...rest] = words;
    if (["witness", "group"].includes(what) && (name === undefined || name === "none" || known(name))) wrong(at + 1, "without a new name");
    if (what === "log" && [2, 3].includes(words.length)) {
      policy.logs.push(await add(at + 1, name, policy.logs, [ED25519, COSIGNATURE, ML_DSA_44]));
    } else if (what === "witness" && [3, 4].includes(words.length)) {
      policy.witnesses.set(name, await add(at + 1, second, [...policy.witnesses.values()], [COSIGNATURE, ML_DSA_44]));
    } else if (what === "group" && rest.length) {
      for (const each of rest) {
        if (!known(each) || members.has(each)) wrong(at + 1, "with members that are unknown or counted twice");
        members.add(each);
      }
      if (!/^(?:any|all|[1-9][0-9]{0,5})$/.test(second)) wrong(at + 1, "without any, all or a number");
      const needed = { any: 1, all: rest.length }[second] ?? Number(second);
      if (needed > rest.length) wrong(at + 1, "which asks for more than there are");
      policy.groups.set(name, { needed, members: rest });
    } else if (what === "quorum" && words.length === 2 && policy.quorum === null) {
      if (name !== "none" && !known(name)) wrong(at + 1, "with a quorum of nobody");
      policy.quorum = name;
    } else {
      wrong(at + 1, "which is none of log, witness, group and one quorum");
    }
  }
  if (policy.quorum === null) wrong(0, "which lacks a quorum");
  return policy;
}

async function judge(policy, raw) {
  const note = parseNote(raw);
  const keys = [...policy.logs, ...policy.witnesses.values()];
  const found = new Map();
  for (const { name, id, value } of note.signatures) {
    const key = keys.find((each) => each.name === name && each.id === id);
    if (!key) continue;
    const time = await checkSignature(key, note.text, value);
    found.set(key, time > (found.get(key) ?? 0n) ? time : found.get(key) ?? 0n);
  }
  const checkpoint = parseCheckpoint(note.text);
  const logs = policy.logs.filter((each) => found.has(each) && each.name === checkpoint.origin);
  if (!logs.length) refuse("policy.log", `a checkpoint of ${checkpoint.origin} that no log of the policy signed`);
  const seen = new Map([...policy.witnesses].filter(([, key]) => found.has(key)).map(([name, key]) => [name, found.get(key)]));
  const counts = (name) => {
    const group = policy.groups.get(name);
    return group ? group.members.filter(counts).length >= group.needed : seen.has(name);
  };
  return { checkpoint, logs, seen, satisfied: policy.quorum === "none" || counts(policy.quorum) };
}

function parseReceipt(raw) {
  if (raw.length > 1 << 18) refuse("receipt.invalid", "a receipt that is too long");
  const whole = latin1(raw);
  const gap = whole.indexOf("\n\n");
  const head = gap < 0 ? whole : whole.slice(0, gap);
  const lines = head.split("\n");
  const [header, extra, index, ...proof] = lines;
  if (/[^\x00-\x7f]/.test(head) || lines.length < 3 || header !== "c2sp.org/tlog-proof@v1") refuse("receipt.invalid", "a file that is no receipt");
  if (!extra.startsWith("extra ") || !index.startsWith("index ")) refuse("receipt.invalid", "a receipt without record or index");
  return {
    leaf: fromBase64(extra.slice(6)),
    index: number(index.slice(6)),
    proof: proof.map(fromBase64),
    note: gap < 0 ? new Uint8Array() : raw.slice(gap + 2),
  };
}

// RFC 9162, section 2.1.3.2.
async function checkInclusion({ leaf, index, proof }, { size, root }) {
  if (proof.some((each) => each.length !== 32)) refuse("proof.hash", "a proof with hashes of another length");
  if (index >= size) refuse("proof.range", "an index beyond the size");
  let [at, last, here] = [index, size - 1n, await leafHash(leaf)];
  for (const each of proof) {
    if (last === 0n) refuse("proof.length", "a proof that is too long");
    if (at & 1n || at === last) {
      here = await nodeHash(each, here);
      for (; !(at & 1n) && at; last >>= 1n) at >>= 1n;
    } else {
      here = await nodeHash(here, each);
    }
    [at, last] = [at >> 1n, last >> 1n];
  }
  if (last !== 0n) refuse("proof.length", "a proof that is too short");
  if (!equal(here, root)) refuse("proof.root", "a proof that leads to another root");
}

// RFC 8785, for what a record may hold.
function canonical(value) {
  if (Array.isArray(value)) return `[${value.map(canonical).join(",")}]`;
  if (value === null || typeof value !== "object") return JSON.stringify(value);
  return `{${Object.keys(value).sort().map((key) => `${JSON.stringify(key)}:${canonical(value[key])}`).join(",")}}`;
}

function checkRecord(record) {
  const wrong = (what) => refuse("record.invalid", `a record with another ${what}`);
  const fits = (value, form, what) => {
    if (form === "int") {
      if (!Number.isInteger(value) || value < 0 || value > EXACT) wrong(what);
    } else if (typeof value !== "string" || !new RegExp(`^(?:${form})$`).test(value)) {
      wrong(what);
    }
  };
  const map = (value) => value !== null && typeof value === "object" && !Array.isArray(value);
  if (!map(record) || canonical(Object.keys(record).sort()) !== canonical(SCHEMA.fields) || record.v !== 1) wrong("set of fields");
  if (!Object.hasOwn(SCHEMA.ext, record.kind)) wrong("kind");
  if (!SCHEMA.classes.includes(record.class)) wrong("class");
  for (const name of ["origin", "capture_key", "prev"]) fits(record[name], "[0-9a-f]{64}", name);
  fits(record.nonce, "[0-9a-f]{32}", "nonce");
  fits(record.counter, "int", "counter");
  fits(record.claimed_time, "int", "claimed_time");
  if (!map(record.fp) || !map(record.ext) || !Array.isArray(record.refs)) wrong("fp, ext or refs");
  const [labels, extras] = [Object.keys(record.fp), Object.keys(record.ext)];
  if ((record.counter === 0) !== (record.prev === "0".repeat(64))) wrong("prev");
  const commits = labels.length > 0;
  if ((record.class === "none") === commits || ["capture", "derive"].includes(record.kind) !== commits) wrong("fp");
  if (Math.max(labels.length, record.refs.length) > SCHEMA.most) wrong("number of fields");
  for (const label of labels) {
    fits(label, SCHEMA.label, "label");
    fits(record.fp[label], "[0-9a-f]{64}", label);
  }
  for (const each of record.refs) fits(each, "[0-9a-f]{64}", "refs");
  if (record.kind === "derive" && !record.refs.length) wrong("refs");
  const allowed = SCHEMA.ext[record.kind];
  if ((SCHEMA.needed[record.kind] ?? []).some((name) => !extras.includes(name))) wrong("ext");
  for (const name of extras) {
    if (!Object.hasOwn(allowed, name)) wrong("ext");
    fits(record.ext[name], allowed[name], name);
  }
}

async function parseLeaf(leaf) {
  if (leaf.length > SCHEMA.largest) refuse("leaf.too_large", "a record that is too long");
  const end = leaf.indexOf(10);
  const raw = leaf.slice(0, Math.max(end, 0));
  let record;
  try {
    record = JSON.parse(fromUtf8(raw, "record.invalid", "a record that is not UTF-8"));
  } catch {
    refuse("record.invalid", "a record that is no JSON");
  }
  checkRecord(record);
  const line = latin1(leaf.slice(end + 1));
  if (canonical(record) !== latin1(raw) || !line.endsWith("\n")) refuse("record.invalid", "a record in another spelling");
  const signature = fromBase64(line.slice(0, -1));
  if (signature.length !== 64) refuse("record.invalid", "a record without a signature of 64 bytes");
  if (!(await ed25519(fromHex(record.capture_key), signature, joined(utf8(SCHEMA.context), raw)))) {
    refuse("record.signature", "a record with a wrong signature");
  }
  return record;
}

function parseOpening(raw) {
  const wrong = () => refuse("opening.invalid", "a file that is no opening");
  let told;
  try {
    told = JSON.parse(fromUtf8(raw, "opening.invalid", "an opening that is not UTF-8"));
    if (canonical(Object.keys(told).sort()) !== '["digests","material","salts","v"]' || told.v !== 1) wrong();
    const read = (map) => new Map(Object.entries(map).map(([label, value]) => [label, fromHex(value)]));
    told = { salts: read(told.salts), digests: read(told.digests) };
  } catch {
    wrong();
  }
  const label = new RegExp(`^(?:${SCHEMA.label})$`);
  const sound = ([name, value]) => label.test(name) && value.length === 32;
  const same = told.salts.size === told.digests.size && [...told.salts.keys()].every((name) => told.digests.has(name));
  if (!same || ![...told.salts, ...told.digests].every(sound)) wrong();
  return told;
}
