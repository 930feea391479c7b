// One of five outcomes, as `titer verify` reaches it.
/* global FINGERPRINTS */

const nameOf = (label) => label.slice(0, label.lastIndexOf("."));

async function placed(receipt, rules) {
  const told = parseReceipt(receipt);
  const accepted = await judge(rules, told.note);
  await checkInclusion(told, accepted.checkpoint);
  const record = await parseLeaf(told.leaf);
  if (record.origin !== hex(await sha256(utf8(accepted.checkpoint.origin)))) {
    refuse("record.origin", "a record that was signed for another log");
  }
  return { accepted, record, told };
}

// Size, index and record of a receipt of a record about keys.
async function spoken(raw, rules, origin) {
  const { accepted, record, told } = await placed(raw, rules);
  const fits = ["key", "revoke", "retire"].includes(record.kind) && accepted.satisfied && accepted.checkpoint.origin === origin;
  if (!fits) refuse("revocation.invalid", "a receipt of no record about keys, of another log, or that too few witnesses saw");
  return { size: accepted.checkpoint.size, index: told.index, record };
}

// Why the keys under a receipt do not bear it: for people, and a line.
function doubted({ accepted, record, told }, keys, where) {
  const mine = accepted.logs.filter((each) => each.kind === ED25519).map((each) => hex(each.key));
  if (mine.length && mine.every((each) => isRevoked(keys, each, accepted.checkpoint.size - 1n))) {
    const least = mine.map((each) => keys.suspect.get(each)).sort(([a, b], [c, d]) => (a < c || (a === c && b < d) ? -1 : 1))[0];
    return [`${where} is suspect, the log's key was revoked`, `revoked: the log's key, from ${least[0]}, by record ${least[1]}`];
  }
  if (isRevoked(keys, record.capture_key, told.index)) {
    const [start, by] = keys.suspect.get(record.capture_key);
    return [`${where} is suspect, its key was revoked`, `revoked: this signer, from index ${start}, by record ${by}`];
  }
  if (Object.keys(record.fp).length && !keyCounts(keys, record.capture_key, record.kind, told.index)) {
    return [`the policy does not let this key sign ${where}`, `signer: no key for records of kind ${record.kind}`];
  }
  return null;
}

async function compare(now, opening, record) {
  const there = new Map(now.digests.map(([name, value]) => [`${name}.v1`, value]));
  const states = new Map();
  for (const [label, committed] of Object.entries(record.fp)) {
    const salt = opening.salts.get(label);
    // Whom an object is about this page does not read: what an opening says of it is left to the command.
    if (!salt || (label.startsWith("id.") && !there.has(label))) states.set(label, "closed");
    else if (there.has(label)) states.set(label, hex(await hmac(salt, there.get(label))) === committed ? "same" : "differs");
    else states.set(label, now.digests.some(([name]) => name === nameOf(label)) ? "version" : "removed");
  }
  const recorded = Object.keys(record.fp).map(nameOf);
  for (const label of there.keys()) {
    if (!states.has(label)) states.set(label, recorded.includes(nameOf(label)) ? "version" : "added");
  }
  const byName = new Map([...states].map(([label, state]) => [nameOf(label), state]));
  const carried = (label, state) => {
    if (!["differs", "removed", "added"].includes(state)) return state;
    const name = nameOf(label);
    if (name === "cs" && byName.get("px") === "same") return "carriage";
    if (name === "px" && byName.get("cs") === "same") return "version";
    if (name === "hb" && byName.get("px") === "same" && !now.highBits) return "carriage";
    return name === "fl" && byName.get("fv") === "same" ? "carriage" : state;
  };
  return new Map([...states].sort(([one], [other]) => (one < other ? -1 : 1)).map(([label, state]) => [label, carried(label, state)]));
}

function timeOf(seconds) {
  const value = Number(seconds);
  return value < 253402300800 ? new Date(value * 1000).toISOString().replace(".000Z", "Z") : `${seconds} s`;
}

async function linesOf({ accepted, record, told }, keys) {
  const { checkpoint, logs, seen } = accepted;
  const signer = hex(await sha256(fromHex(record.capture_key))).slice(0, 16);
  const times = [...seen.values()].filter(Boolean);
  const first = times.reduce((least, time) => (time < least ? time : least), times[0]);
  const names = [...seen].sort(([one], [other]) => (one < other ? -1 : 1)).map(([name, time]) => (time ? `${name} (${timeOf(time)})` : name));
  const there = times.length ? `there by ${timeOf(first)}, as its first witness tells` : "no witness tells when it was there";
  return [
    `record: ${record.kind} of ${record.class}, number ${record.counter} of its key`,
    `signer: key ${record.capture_key} (SHA-256 begins ${signer})`,
    `index: ${told.index} of ${checkpoint.size} in ${checkpoint.origin}`,
    `log: signed by ${logs.map((each) => `${each.name}+${each.id}`).join(", ")}`,
    `time: claimed ${timeOf(record.claimed_time)}; ${there}`,
    `witnesses: ${names.length ? names.join(", ") : "none"}`,
    keys.size ? `keys: as of size ${keys.size}` : "keys: as the policy names them",
    ...keys.void.map((each) => `without effect: record ${each}, which nobody signed who may`),
    ...record.refs.map((each) => `refers to: ${each}`),
  ];
}

// Arguments: the bytes of each file; `opening` null where there is none; `aboutKeys` a list.
async function titerVerify(object, receipt, policy, opening, aboutKeys) {
  const answer = (outcome, sentence, lines = [], layers = new Map()) => ({ outcome, sentence, lines, layers: Object.fromEntries(layers) });
  const undecided = (error, lines) => answer("undecided", `Cannot decide: ${error.message}.`, lines);
  const ours = (error) => (error instanceof Refusal ? error : refuse("page.bug", `this page failed: ${error}`));
  let place;
  let keys;
  try {
    const rules = await parsePolicy(policy);
    place = await placed(receipt, rules);
    const told = [];
    for (const each of aboutKeys) told.push(await spoken(each, rules, place.accepted.checkpoint.origin));
    const size = told.reduce((most, each) => (each.size > most ? each.size : most), 0n);
    keys = await keysAt(size, told.map(({ index, record }) => [index, record]), rules);
  } catch (error) {
    const { code, message: words } = ours(error);
    if (code.startsWith("unsupported.")) return undecided(error, [`reason: ${code}`]);
    return answer("invalid", `The receipt or the policy is not valid: ${words}.`, [`reason: ${code}`]);
  }
  const { accepted, record, told } = place;
  let lines = await linesOf(place, keys);
  const where = `record ${told.index} of ${accepted.checkpoint.origin}`;
  if (!accepted.satisfied) return answer("undecided", `Cannot decide: too few witnesses of the policy have seen ${where}.`, lines);
  const doubt = doubted(place, keys, where);
  if (doubt) return answer("undecided", `Cannot decide: ${doubt[0]}.`, [...lines, doubt[1]]);
  if (!["capture", "derive"].includes(record.kind)) {
    return answer("unknown", `Unknown: ${where} speaks of a ${record.kind}.`, lines);
  }
  if (opening === null) return answer("undecided", `Cannot decide: ${where} commits to an object, and no opening is given.`, lines);
  let opened;
  let now;
  try {
    opened = parseOpening(opening);
    const wrong = [];
    for (const label of [...opened.salts.keys()].sort()) {
      const made = hex(await hmac(opened.salts.get(label), opened.digests.get(label)));
      if (record.fp[label] !== made) wrong.push(label);
    }
    if (wrong.length) return answer("undecided", `Cannot decide: the opening does not belong to ${where} (${wrong.join(", ")}).`, lines);
    if (!FINGERPRINTS[record.class]) {
      refuse("unsupported.kind", `this page cannot read objects of kind ${record.class}; use the command titer verify`);
    }
    now = await FINGERPRINTS[record.class](object);
  } catch (error) {
    const { code } = ours(error);
    if (code === "unknown.kind") {
      return answer("unknown", `Unknown: ${where} speaks of ${record.class}, and the object is of another kind.`, lines);
    }
    return undecided(error, [`reason: ${code}`, ...lines]);
  }
  const layers = await compare(now, opened, record);
  lines = [...[...layers].map(([label, state]) => `layer ${label}: ${state}`), ...lines];
  const named = (test) => [...layers].filter(([label, state]) => test(state, label)).map(([label]) => label).join(", ");
  const changed = named((state) => ["differs", "removed", "added"].includes(state));
  const unsure = named((state, label) => state === "version" || (state === "closed" && !label.startsWith("id.")));
  if (changed) return answer("altered", `Altered: the object is not what ${where} says (${changed}).`, lines, layers);
  if (unsure) return answer("undecided", `Cannot decide: layers that cannot be compared with ${where} (${unsure}).`, lines, layers);
  const act = record.kind === "capture" ? "captured" : "derived";
  return answer("verified", `Verified: the object is as it was when ${act}, by ${where}.`, lines, layers);
}
