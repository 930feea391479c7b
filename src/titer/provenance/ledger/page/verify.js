// One of five outcomes, as `titer verify` reaches it.
/* global FINGERPRINTS */

const nameOf = (label) => label.slice(0, label.lastIndexOf("."));

async function placed(receipt, policy) {
  const told = parseReceipt(receipt);
  const accepted = await judge(await parsePolicy(policy), told.note);
  await checkInclusion(told, accepted.checkpoint);
  const record = await parseLeaf(told.leaf);
  if (record.origin !== hex(await sha256(utf8(accepted.checkpoint.origin)))) {
    refuse("record.origin", "a record that was signed for another log");
  }
  return { accepted, record, told };
}

// From which index the record's key is suspect, and the index of the record that says so.
async function revoked(raw, policy, record) {
  const { accepted, record: revoke, told } = await placed(raw, policy);
  if (revoke.kind !== "revoke" || !accepted.satisfied) refuse("revocation.invalid", "a revocation that is none, or that too few witnesses saw");
  if (revoke.ext.key !== record.capture_key || revoke.origin !== record.origin) return [];
  return [[BigInt(revoke.ext.from), told.index]];
}

async function compare(now, opening, record) {
  const there = new Map(now.digests.map(([name, value]) => [`${name}.v1`, value]));
  const states = new Map();
  for (const [label, committed] of Object.entries(record.fp)) {
    const salt = opening.salts.get(label);
    if (!salt) states.set(label, "closed");
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

async function linesOf({ accepted, record, told }) {
  const { checkpoint, log, seen } = accepted;
  const signer = hex(await sha256(fromHex(record.capture_key))).slice(0, 16);
  const times = [...seen.values()].filter(Boolean);
  const first = times.reduce((least, time) => (time < least ? time : least), times[0]);
  const names = [...seen].sort(([one], [other]) => (one < other ? -1 : 1)).map(([name, time]) => (time ? `${name} (${timeOf(time)})` : name));
  const there = times.length ? `there by ${timeOf(first)}, as its first witness tells` : "no witness tells when it was there";
  return [
    `record: ${record.kind} of ${record.class}, number ${record.counter} of its key`,
    `signer: key ${record.capture_key} (SHA-256 begins ${signer})`,
    `index: ${told.index} of ${checkpoint.size} in ${checkpoint.origin}`,
    `log: signed by ${log.name}+${log.id}`,
    `time: claimed ${timeOf(record.claimed_time)}; ${there}`,
    `witnesses: ${names.length ? names.join(", ") : "none"}`,
    ...record.refs.map((each) => `refers to: ${each}`),
  ];
}

// Arguments: the bytes of each file; `opening` null where there is none; `revocations` a list.
async function titerVerify(object, receipt, policy, opening, revocations) {
  const answer = (outcome, sentence, lines = [], layers = new Map()) => ({ outcome, sentence, lines, layers: Object.fromEntries(layers) });
  const undecided = (error, lines) => answer("undecided", `Cannot decide: ${error.message}.`, lines);
  const ours = (error) => (error instanceof Refusal ? error : refuse("page.bug", `this page failed: ${error}`));
  let place;
  const since = [];
  try {
    place = await placed(receipt, policy);
    for (const each of revocations) since.push(...(await revoked(each, policy, place.record)));
  } catch (error) {
    const { code, message: words } = ours(error);
    if (code.startsWith("unsupported.")) return undecided(error, [`reason: ${code}`]);
    return answer("invalid", `The receipt or the policy is not valid: ${words}.`, [`reason: ${code}`]);
  }
  const { accepted, record, told } = place;
  let lines = await linesOf(place);
  const where = `record ${told.index} of ${accepted.checkpoint.origin}`;
  if (!accepted.satisfied) return answer("undecided", `Cannot decide: too few witnesses of the policy have seen ${where}.`, lines);
  const [least] = since.sort(([a, b], [c, d]) => (a < c || (a === c && b < d) ? -1 : 1));
  if (least && told.index >= least[0]) {
    lines = [...lines, `revoked: this signer, from index ${least[0]}, by record ${least[1]}`];
    return answer("undecided", `Cannot decide: ${where} is suspect, its key was revoked.`, lines);
  }
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
