// Bytes, hashes and texts: small helpers of everything else on this page.

class Refusal extends Error {
  constructor(code, message) {
    super(message);
    this.code = code;
  }
}

function refuse(code, message) {
  throw new Refusal(code, message);
}

const utf8 = (text) => new TextEncoder().encode(text);

function joined(...parts) {
  const whole = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
  let at = 0;
  for (const part of parts) {
    whole.set(part, at);
    at += part.length;
  }
  return whole;
}

// The mark at the beginning of some texts is content, so it is kept.
function fromUtf8(raw, code, message) {
  try {
    return new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(raw);
  } catch {
    return refuse(code, message);
  }
}

const latin1 = (raw) => Array.from(raw, (byte) => String.fromCharCode(byte)).join("");

const hex = (raw) => Array.from(raw, (byte) => byte.toString(16).padStart(2, "0")).join("");

function fromHex(text) {
  if (typeof text !== "string" || !/^(?:[0-9a-f]{2})*$/.test(text)) refuse("hex.invalid", "text that is not hexadecimal");
  return Uint8Array.from(text.match(/../g) ?? [], (pair) => parseInt(pair, 16));
}

const toBase64 = (raw) => btoa(latin1(raw));

// Only the one spelling that `toBase64` has is taken.
function fromBase64(text) {
  if (!/^[A-Za-z0-9+/]*={0,2}$/.test(text) || text.length % 4) refuse("base64.invalid", "text that is not base 64");
  const raw = Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0));
  if (toBase64(raw) !== text) refuse("base64.invalid", "base 64 in another spelling");
  return raw;
}

function uint(value, bytes) {
  const raw = new Uint8Array(bytes);
  let left = BigInt(value);
  for (let at = bytes - 1; at >= 0; at--, left >>= 8n) raw[at] = Number(left & 255n);
  return raw;
}

const fromUint = (raw) => raw.reduce((sum, byte) => (sum << 8n) | BigInt(byte), 0n);

const equal = (one, other) => one.length === other.length && one.every((byte, at) => byte === other[at]);

const sha256 = async (...parts) => new Uint8Array(await crypto.subtle.digest("SHA-256", joined(...parts)));

async function hmac(key, message) {
  const made = await crypto.subtle.importKey("raw", key, { name: "HMAC", hash: "SHA-256" }, false, ["sign"]);
  return new Uint8Array(await crypto.subtle.sign("HMAC", made, message));
}

async function ed25519(key, signature, message) {
  let made;
  try {
    made = await crypto.subtle.importKey("raw", key, { name: "Ed25519" }, false, ["verify"]);
  } catch (error) {
    if (error.name === "NotSupportedError") refuse("unsupported.ed25519", "this browser cannot check Ed25519; take a newer one");
    return false;
  }
  return crypto.subtle.verify({ name: "Ed25519" }, made, signature, message);
}

// RFC 6962, section 2.1.
const leafHash = (raw) => sha256(Uint8Array.of(0), raw);
const nodeHash = (left, right) => sha256(Uint8Array.of(1), left, right);

async function treeRoot(hashes) {
  let level = hashes;
  while (level.length > 1) {
    const next = [];
    for (let at = 0; at < level.length; at += 2) {
      next.push(at + 1 < level.length ? await nodeHash(level[at], level[at + 1]) : level[at]);
    }
    level = next;
  }
  return level.length ? level[0] : sha256();
}

// The digest of a layer: its name, a zero, the version of its rule, its canonical bytes.
const layerDigest = (name, ...parts) => sha256(utf8(name), Uint8Array.of(0, 1), ...parts);
