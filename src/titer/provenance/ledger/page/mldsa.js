// Checks signatures of ML-DSA-44 (FIPS 204, algorithms 3 and 8), which browsers do not do themselves.

const mldsa = (() => {
  const Q = 8380417;
  const ROOT = 1753;
  const [ROWS, COLUMNS, ONES, HINTS] = [4, 4, 39, 80];
  const [MASK, ROUND, BETA, DROPPED] = [1 << 17, 95232, 78, 13];
  const STEPS = (Q - 1) / (2 * ROUND);

  // Keccak-f[1600] of FIPS 202.
  const constants = [
    0x1n, 0x8082n, 0x800000000000808an, 0x8000000080008000n, 0x808bn, 0x80000001n, 0x8000000080008081n,
    0x8000000000008009n, 0x8an, 0x88n, 0x80008009n, 0x8000000an, 0x8000808bn, 0x800000000000008bn,
    0x8000000000008089n, 0x8000000000008003n, 0x8000000000008002n, 0x8000000000000080n, 0x800an,
    0x800000008000000an, 0x8000000080008081n, 0x8000000000008080n, 0x80000001n, 0x8000000080008008n,
  ];
  const turned = (lane, by) => BigInt.asUintN(64, (lane << by) | (lane >> (64n - by)));

  function permute(state) {
    for (const constant of constants) {
      const sums = [0, 1, 2, 3, 4].map((x) => state[x] ^ state[x + 5] ^ state[x + 10] ^ state[x + 15] ^ state[x + 20]);
      for (let x = 0; x < 5; x++) {
        const change = sums[(x + 4) % 5] ^ turned(sums[(x + 1) % 5], 1n);
        for (let y = 0; y < 25; y += 5) state[x + y] ^= change;
      }
      let [x, y, lane] = [1, 0, state[1]];
      for (let step = 0; step < 24; step++) {
        [x, y] = [y, (2 * x + 3 * y) % 5];
        const by = BigInt((((step + 1) * (step + 2)) / 2) % 64);
        [lane, state[x + 5 * y]] = [state[x + 5 * y], turned(lane, by)];
      }
      for (let row = 0; row < 25; row += 5) {
        const old = state.slice(row, row + 5);
        for (let at = 0; at < 5; at++) state[row + at] = old[at] ^ (BigInt.asUintN(64, ~old[(at + 1) % 5]) & old[(at + 2) % 5]);
      }
      state[0] ^= constant;
    }
  }

  // SHAKE: takes bytes, then gives as many as are asked for, one by one.
  function* shake(rate, ...parts) {
    const message = joined(...parts);
    const padded = new Uint8Array(Math.floor(message.length / rate + 1) * rate);
    padded.set(message);
    padded[message.length] ^= 0x1f;
    padded[padded.length - 1] ^= 0x80;
    const state = new BigUint64Array(25);
    for (let at = 0; at < padded.length; at += rate) {
      for (let lane = 0; lane < rate / 8; lane++) {
        state[lane] ^= fromUint(padded.slice(at + 8 * lane, at + 8 * lane + 8).reverse());
      }
      permute(state);
    }
    for (;; permute(state)) {
      for (let lane = 0; lane < rate / 8; lane++) yield* uint(state[lane], 8).reverse();
    }
  }
  const shake128 = (...parts) => shake(168, ...parts);
  const shake256 = (...parts) => shake(136, ...parts);

  function taken(source, count) {
    return Uint8Array.from({ length: count }, () => source.next().value);
  }

  const power = (base, exponent) => {
    let [result, factor] = [1, base];
    for (let left = exponent; left; left >>= 1, factor = (factor * factor) % Q) if (left & 1) result = (result * factor) % Q;
    return result;
  };
  const reversed = (number) => parseInt(number.toString(2).padStart(8, "0").split("").reverse().join(""), 2);
  const zetas = Array.from({ length: 256 }, (_, at) => power(ROOT, reversed(at)));
  const positive = (value) => ((value % Q) + Q) % Q;

  function transformed(polynomial) {
    const w = polynomial.map(positive);
    for (let [m, length] = [0, 128]; length; length >>= 1) {
      for (let start = 0; start < 256; start += 2 * length) {
        const zeta = zetas[++m];
        for (let j = start; j < start + length; j++) {
          const t = (zeta * w[j + length]) % Q;
          [w[j], w[j + length]] = [(w[j] + t) % Q, positive(w[j] - t)];
        }
      }
    }
    return w;
  }

  function restored(polynomial) {
    const w = polynomial.map(positive);
    for (let [m, length] = [256, 1]; length < 256; length *= 2) {
      for (let start = 0; start < 256; start += 2 * length) {
        const zeta = Q - zetas[--m];
        for (let j = start; j < start + length; j++) {
          [w[j], w[j + length]] = [(w[j] + w[j + length]) % Q, (zeta * positive(w[j] - w[j + length])) % Q];
        }
      }
    }
    return w.map((value) => (value * 8347681) % Q);
  }

  // Numbers of a width in bits, the lowest bit first.
  function unpacked(raw, width) {
    const found = [];
    for (let [at, value, bits] = [0, 0, 0]; at < raw.length; at++) {
      value += raw[at] * 2 ** bits;
      for (bits += 8; bits >= width; bits -= width) {
        found.push(value % 2 ** width);
        value = Math.floor(value / 2 ** width);
      }
    }
    return found;
  }

  function uniform(seed, column, row) {
    const source = shake128(seed, Uint8Array.of(column, row));
    const found = [];
    while (found.length < 256) {
      const [low, middle, high] = taken(source, 3);
      const value = low | (middle << 8) | ((high & 127) << 16);
      if (value < Q) found.push(value);
    }
    return found;
  }

  function challenge(seed) {
    const source = shake256(seed);
    const signs = unpacked(taken(source, 8), 1);
    const found = new Array(256).fill(0);
    for (let i = 256 - ONES; i < 256; i++) {
      let j = source.next().value;
      while (j > i) j = source.next().value;
      found[i] = found[j];
      found[j] = signs[i + ONES - 256] ? -1 : 1;
    }
    return found;
  }

  // Where the signer rounded the other way; null where the bytes are not the one way to write it.
  function hints(raw) {
    const found = Array.from({ length: ROWS }, () => new Set());
    let at = 0;
    for (let row = 0; row < ROWS; row++) {
      const end = raw[HINTS + row];
      if (end < at || end > HINTS) return null;
      for (const first = at; at < end; at++) {
        if (at > first && raw[at - 1] >= raw[at]) return null;
        found[row].add(raw[at]);
      }
    }
    return raw.slice(at, HINTS).some(Boolean) ? null : found;
  }

  function highBits(value, hinted) {
    let low = value % (2 * ROUND);
    if (low > ROUND) low -= 2 * ROUND;
    let high = (value - low) / (2 * ROUND);
    if (value - low === Q - 1) [high, low] = [0, low - 1];
    return hinted ? (high + (low > 0 ? 1 : STEPS - 1)) % STEPS : high;
  }

  function packed(values) {
    const raw = new Uint8Array((values.length * 6) / 8);
    values.forEach((value, at) => {
      for (let bit = 0; bit < 6; bit++) raw[(6 * at + bit) >> 3] |= ((value >> bit) & 1) << ((6 * at + bit) & 7);
    });
    return raw;
  }

  return (key, signature, message) => {
    if (key.length !== 1312 || signature.length !== 2420) return false;
    const seed = signature.slice(0, 32);
    const z = Array.from({ length: COLUMNS }, (_, at) =>
      unpacked(signature.slice(32 + 576 * at, 608 + 576 * at), 18).map((value) => MASK - value));
    const hinted = hints(signature.slice(2336));
    if (hinted === null || z.flat().some((value) => Math.abs(value) >= MASK - BETA)) return false;
    const identity = taken(shake256(key), 64);
    const digest = taken(shake256(identity, Uint8Array.of(0, 0), message), 64);
    const c = transformed(challenge(seed));
    const zt = z.map(transformed);
    const high = [];
    for (let row = 0; row < ROWS; row++) {
      const t1 = unpacked(key.slice(32 + 320 * row, 352 + 320 * row), 10).map((value) => value * 2 ** DROPPED);
      const w = transformed(t1).map((value, at) => positive(-c[at] * value));
      for (let column = 0; column < COLUMNS; column++) {
        uniform(key.slice(0, 32), column, row).forEach((value, at) => (w[at] = (w[at] + value * zt[column][at]) % Q));
      }
      restored(w).forEach((value, at) => high.push(highBits(value, hinted[row].has(at))));
    }
    return equal(taken(shake256(digest, packed(high)), 32), seed);
  };
})();
