// The life of keys: what `titer.provenance.ledger.keys` finds, found the same way.

// What an administrator signs.
function approval({ kind, origin, capture_key, ext }) {
  const { signature, ...rest } = ext;
  return joined(utf8("titer/administrator/1\n"), utf8(canonical({ kind, origin, capture_key, ext: rest })));
}

async function approved(record, administrators) {
  if (record.kind !== "key" && administrators.has(record.capture_key)) return true;
  const { administrator, signature } = record.ext;
  if (!administrators.has(administrator) || administrator === record.capture_key || signature === undefined) return false;
  return ed25519(fromHex(administrator), fromHex(signature), approval(record));
}

function isRevoked(keys, key, index) {
  return keys.suspect.has(key) && index >= keys.suspect.get(key)[0];
}

function keyCounts(keys, key, kind, index) {
  const { tasks, start } = keys.since.get(key) ?? { tasks: [], start: 0n };
  return !keys.named || (tasks.includes(kind) && index >= start);
}

// `records`: pairs of index and record, signatures checked, all below `size`.
async function keysAt(size, records, { roles, administrators }) {
  const told = records.filter(([index]) => index < size).sort(([one], [other]) => (one < other ? -1 : one > other ? 1 : 0));
  const keys = { size, named: roles.size > 0, since: new Map(), suspect: new Map(), void: [] };
  for (const [index, record] of told) {
    const { key, from } = record.ext;
    if (record.kind === "key" || key === undefined) continue;
    let start = from === undefined ? index : BigInt(from);
    if (!(await approved(record, administrators))) {
      if (start < index) start = index;
      if (key !== record.capture_key) {
        keys.void.push(index);
        continue;
      }
    }
    const known = keys.suspect.get(key);
    if (!known || start < known[0] || (start === known[0] && index < known[1])) keys.suspect.set(key, [start, index]);
  }
  for (const [key, tasks] of roles) keys.since.set(key, { tasks, start: 0n });
  for (const [index, record] of told) {
    if (record.kind !== "key") continue;
    const [old, fresh] = [record.capture_key, record.ext.key];
    const known = keys.since.get(old);
    const sound = known && index >= known.start && !isRevoked(keys, old, index) && !administrators.has(fresh);
    if (sound && (await approved(record, administrators))) {
      if (!keys.since.has(fresh)) keys.since.set(fresh, { tasks: known.tasks, start: index + 1n });
    } else {
      keys.void.push(index);
    }
  }
  keys.void.sort((one, other) => (one < other ? -1 : 1));
  return keys;
}
