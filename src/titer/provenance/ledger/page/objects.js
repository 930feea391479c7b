// Fingerprints of texts and of DICOM images: what `titer.provenance.fingerprint` makes of them.
/* global TABLE, SEQUENCES */

const NOT_TEXT = "malformed.utf8";

async function fingerprintText(raw) {
  const text = fromUtf8(raw, NOT_TEXT, "the object is not text in UTF-8").replace(/\r\n?/g, "\n");
  for (const [letter] of text.matchAll(/\p{Cn}/gu)) {
    const code = letter.codePointAt(0);
    if (!((code >= 0xfdd0 && code <= 0xfdef) || (code & 0xfffe) === 0xfffe)) {
      refuse("unsupported.unicode", "the text has characters that this browser does not know; take a newer one");
    }
  }
  return { digests: [["tx", await layerDigest("tx", utf8(text.normalize("NFC")))]] };
}

const LONG = ["OB", "OD", "OF", "OL", "OV", "OW", "SQ", "SV", "UC", "UN", "UR", "UT", "UV"];
const SHORT = ["AE", "AS", "AT", "CS", "DA", "DS", "DT", "FD", "FL", "IS", "LO", "LT", "PN", "SH", "SL", "SS", "ST", "TM", "UI", "UL", "US"];
const ALLOWED = {
  text: ["CS", "LO", "SH", "UN"],
  number: ["DS", "IS", "UN"],
  words: ["US", "SS", "OW", "AT", "UL", "SL", "FL", "FD", "OB", "UN"],
  bytes: ["OB", "UN"],
  photometric: ["CS", "UN"],
  overlay: ["OB", "OW", "UN"],
};
const NUMBERS = {
  0x00280002: "samples", 0x00280006: "planar", 0x00280010: "rows", 0x00280011: "columns",
  0x00280100: "allocated", 0x00280101: "stored", 0x00280102: "high", 0x00280103: "sign",
};
const IDENTIFIERS = {
  patient: [0x00100020, 0x00100021], accession: [0x00080050, 0x00080051], study: [0x0020000d], series: [0x0020000e],
  instance: [0x00080018], device: [0x00181000], time: [0x00080022, 0x0008002a, 0x00080032],
};
const MADE = [0x00080023, 0x00080033];
const [PIXELS, ITEM, ITEM_END, SEQUENCE_END] = [0x7fe00010, 0xfffee000, 0xfffee00d, 0xfffee0dd];
const UNDEFINED = 0xffffffff;
const broken = (code) => refuse(`malformed.${code}`, "the object breaks the format of DICOM files");
const trimmed = (text) => text.replace(/^[ \0]+|[ \0]+$/g, "");

// The header in Explicit VR Little Endian, element by element; `visit` is told of each that holds a value.
class Walker {
  constructor(raw, visit) {
    this.raw = raw;
    this.view = new DataView(raw.buffer, raw.byteOffset, raw.byteLength);
    this.visit = visit;
  }

  take(count, bound) {
    const at = this.at;
    if (at + count > bound) broken("length");
    this.at += count;
    return at;
  }

  tag(bound) {
    const at = this.take(4, bound);
    return this.view.getUint16(at, true) * 0x10000 + this.view.getUint16(at + 2, true);
  }

  // Elements up to `end`, or, in an item of undefined length, up to the mark that closes it.
  dataset(path, bound, closed) {
    for (let last = -1; closed || this.at !== bound; ) {
      const tag = this.tag(bound);
      if (closed && tag === ITEM_END) return this.nothing(bound);
      if (tag <= last || tag >>> 16 === 0xfffe) broken("order");
      last = tag;
      const head = this.take(4, bound);
      const vr = latin1(this.raw.slice(head, head + 2));
      if (!SHORT.includes(vr) && !LONG.includes(vr)) broken("vr");
      const length = SHORT.includes(vr) ? this.view.getUint16(head + 2, true) : this.view.getUint32(this.take(4, bound), true);
      if (length !== UNDEFINED && this.at + length > bound) broken("length");
      if (vr === "UN" && (length === UNDEFINED || SEQUENCES.has(tag))) refuse("unsupported.un", "the object has sequences that a writer did not know; use the command titer verify");
      if (vr === "SQ") {
        this.sequence(path, tag, length === UNDEFINED ? bound : this.at + length, length === UNDEFINED);
      } else {
        if (length === UNDEFINED) broken("length");
        const at = this.take(length, bound);
        this.visit(path, tag, vr, this.raw.subarray(at, at + length));
      }
    }
  }

  sequence(path, tag, bound, open) {
    if (path.length >= 32) refuse("limit.depth", "the object has too many sequences inside each other");
    for (let number = 0; open || this.at !== bound; number++) {
      const mark = this.tag(bound);
      if (open && mark === SEQUENCE_END) return this.nothing(bound);
      if (mark !== ITEM) broken("item");
      const length = this.view.getUint32(this.take(4, bound), true);
      if (length !== UNDEFINED && this.at + length > bound) broken("length");
      this.dataset([...path, [tag, number]], length === UNDEFINED ? bound : this.at + length, length === UNDEFINED);
    }
  }

  nothing(bound) {
    if (this.view.getUint32(this.take(4, bound), true)) broken("item");
  }
}

// UTF-8 in NFC without padding, value by value.
function plainText(raw, charset) {
  if (raw.every((byte) => byte < 128 && byte !== 27)) return utf8(latin1(raw).split("\\").map(trimmed).join("\\"));
  const known = { "": null, ISO_IR_6: null, "ISO_IR 100": latin1, "ISO_IR 192": (octets) => fromUtf8(octets, "charset", "") };
  if (!known[charset] || raw.includes(27)) refuse("unsupported.charset", "the object has a character set that this page does not read; use the command titer verify");
  let text = "";
  try {
    text = known[charset](raw);
  } catch {
    text = "\ufffd";
  }
  if (text.includes("\ufffd")) return joined(Uint8Array.of(255), raw.slice(0, latin1(raw).replace(/[ \0]+$/, "").length));
  return utf8(text.split("\\").map(trimmed).join("\\").normalize("NFC"));
}

function plainNumber(text) {
  const found = text.length <= 64 ? /^([+-]?)(\d*)(?:\.(\d*))?(?:[eE]([+-]?\d{1,9}))?$/.exec(text) : null;
  if (!found || !(found[2] + (found[3] ?? ""))) return `?${text}`;
  const digits = (found[2] + (found[3] ?? "")).replace(/^0+/, "");
  if (!digits) return "0";
  const kept = digits.replace(/0+$/, "");
  const exponent = Number(found[4] ?? 0) - (found[3] ?? "").length + digits.length - kept.length;
  return `${found[1] === "-" ? "-" : ""}${kept}${exponent ? `e${exponent}` : ""}`;
}

function plainNumbers(raw) {
  const text = trimmed(latin1(raw));
  if (/[^\x00-\x7f]/.test(text)) refuse("unsupported.charset", "the object has numbers that are none; use the command titer verify");
  return utf8(text ? text.split("\\").map((part) => plainNumber(trimmed(part))).join("\\") : "");
}

const isOverlay = (tag) => (tag >>> 16 & 0xff01) === 0x6000;
const inFirstPlane = (tag) => (isOverlay(tag) ? (tag & 0xff01ffff) >>> 0 : tag);

// `rd`: the attributes of the table, in ascending order, sequences as brackets around numbered items.
class Reading {
  constructor() {
    this.parts = [];
    this.open = [];
    this.overlay = new Map();
  }

  row(path, tag) {
    const place = path.length ? [...path.map(([sequence]) => sequence), tag] : [inFirstPlane(tag)];
    return TABLE[place.join("/")];
  }

  add(path, tag, vr, kind, raw, charset) {
    if (!ALLOWED[kind].includes(vr)) broken("vr");
    const value = this.canonical(tag, kind, raw, charset);
    if (!value.length) return;
    this.enter(path);
    this.parts.push(utf8("="), uint(tag, 4), utf8(kind[0]), uint(value.length, 8), value);
  }

  enter(path) {
    let same = 0;
    while (same < Math.min(path.length, this.open.length) && path[same].join() === this.open[same].join()) same++;
    for (let depth = this.open.length; depth > same; depth--) this.parts.push(utf8("]"));
    for (const [tag, number] of path.slice(same)) this.parts.push(utf8("["), uint(tag, 4), uint(number, 4));
    this.open = path;
  }

  canonical(tag, kind, raw, charset) {
    const text = trimmed(latin1(raw));
    if (kind === "number") {
      if (inFirstPlane(tag) === 0x60000015) this.overlay.set(tag, /^\d{1,9}$/.test(text) ? Number(text) : 1);
      return plainNumbers(raw);
    }
    if (kind === "text") return plainText(raw, charset);
    if (kind === "photometric") return utf8(text === "YBR_FULL_422" ? "YBR_FULL" : text);
    if (kind === "overlay") return this.plane(tag, raw);
    if ([0x60000010, 0x60000011].includes(inFirstPlane(tag))) this.overlay.set(tag, Number(fromUint(raw.slice().reverse())));
    return raw;
  }

  plane(tag, raw) {
    const told = (element, otherwise) => this.overlay.get(((tag & 0xffff0000) >>> 0) + element) ?? otherwise;
    const size = told(0x10, 0) * told(0x11, 0);
    if (!size) return raw;
    const bits = size * told(0x15, 1);
    const kept = raw.slice(0, Math.ceil(bits / 8));
    if (bits % 8 && kept.length * 8 > bits) kept[kept.length - 1] &= (1 << bits % 8) - 1;
    return kept;
  }

  finish() {
    this.enter([]);
    return layerDigest("rd", ...this.parts);
  }
}

function transferSyntax(raw) {
  let uid = "";
  const meta = new Walker(raw, (path, tag, vr, value) => {
    if (tag >>> 16 !== 2) broken("meta");
    if (tag === 0x00020010) uid = trimmed(latin1(value));
  });
  const tiff = ["II*\0", "MM\0*", "II+\0", "MM\0+"].includes(latin1(raw.slice(0, 4)));
  if (!tiff && raw.slice(0, 128).some(Boolean)) broken("preamble");
  if (latin1(raw.slice(132, 140)) !== "\x02\0\0\0UL\x04\0" || raw.length < 144) broken("meta");
  const end = 144 + meta.view.getUint32(140, true);
  if (end > raw.length) broken("meta");
  meta.at = 144;
  meta.dataset([], end, false);
  return { uid, end };
}

async function fingerprintDicom(raw) {
  if (latin1(raw.slice(128, 132)) !== "DICM") refuse("unknown.kind", "the object is no DICOM file");
  const { uid, end } = transferSyntax(raw);
  if (uid !== "1.2.840.10008.1.2.1") refuse("unsupported.transfer_syntax", "this page reads Explicit VR Little Endian alone; use the command titer verify");
  const [reading, found, identifiers] = [new Reading(), { planar: 0 }, new Map()];
  let [charset, photometric, frames, pixels] = ["", "", 1, null];
  const wanted = new Set([...Object.values(IDENTIFIERS).flat(), ...MADE]);
  const walker = new Walker(raw, (path, tag, vr, value) => {
    const kind = reading.row(path, tag);
    if (kind) reading.add(path, tag, vr, kind, value, charset);
    if (path.length) return;
    if ([0x7fe00008, 0x7fe00009].includes(tag)) refuse("unsupported.floats", "this page does not read floating-point pixels; use the command titer verify");
    if (tag in NUMBERS) {
      if (value.length !== 2) broken("number");
      found[NUMBERS[tag]] = value[0] + 256 * value[1];
    } else if (wanted.has(tag)) identifiers.set(tag, value);
    else if (tag === 0x00080005) charset = trimmed(latin1(value));
    else if (tag === 0x00280004) photometric = trimmed(latin1(value));
    else if (tag === 0x00280008 && trimmed(latin1(value))) {
      const text = trimmed(latin1(value));
      if (!/^\d{1,9}$/.test(text) || !Number(text)) broken("number");
      frames = Number(text);
    } else if (tag === PIXELS) pixels = value;
  });
  walker.at = end;
  walker.dataset([], raw.length, false);
  if (pixels === null) refuse("unsupported.no_pixels", "the object has no pixels");
  const made = await fingerprintPixels(pixels, { high: (found.stored ?? 0) - 1, ...found }, photometric, frames);
  const digests = [...made.digests, ["rd", await reading.finish()]];
  for (const [name, tags] of Object.entries(IDENTIFIERS)) {
    const present = (of) => of.map((tag) => [tag, plainText(identifiers.get(tag) ?? new Uint8Array(), charset)]).filter(([, value]) => value.length);
    let values = present(tags);
    if (name === "time" && !values.length) values = present(MADE);
    if (values.some(([tag]) => tag === tags[0]) || (name === "time" && values.length)) {
      const chunks = values.flatMap(([tag, value]) => [uint(tag, 4), uint(value.length, 8), value]);
      digests.push([`id.${name}`, await layerDigest(`id.${name}`, ...chunks)]);
    }
  }
  return { digests, highBits: made.highBits };
}

async function fingerprintPixels(pixels, told, photometric, frames) {
  const { rows, columns, samples, allocated, stored, high, sign, planar } = told;
  const complete = [rows, columns, samples, allocated, stored, high, sign].every(Number.isInteger) && photometric;
  if (!complete || !rows || !columns || ![1, 3, 4].includes(samples) || sign > 1 || planar > 1) broken("pixels");
  if (!(stored > 0 && stored <= high + 1 && high < allocated)) broken("pixels");
  const halved = /^YBR_(?:FULL|PARTIAL)_422$/.test(photometric) && samples === 3;
  if (![8, 16].includes(allocated) || halved) refuse("unsupported.bits", "this page reads whole words of 8 and 16 bits; use the command titer verify");
  const [wide, count] = [allocated / 8, rows * columns * samples];
  const needed = count * wide * frames;
  if (![needed, needed + (needed % 2)].includes(pixels.length)) broken("pixels");
  const width = stored <= 8 ? 1 : 2;
  const header = joined(uint(rows, 4), uint(columns, 4), uint(samples, 2), uint(stored, 2), uint(sign, 1));
  const below = high + 1 - stored;
  const mask = ((1 << stored) - 1) << below;
  const [hashes, outside] = [[], []];
  for (let frame = 0; frame < frames; frame++) {
    const words = new Uint16Array(count);
    for (let at = 0; at < count; at++) {
      const from = frame * count * wide + (planar && samples > 1 ? (at % samples) * rows * columns + Math.floor(at / samples) : at) * wide;
      words[at] = wide === 2 ? pixels[from] + 256 * pixels[from + 1] : pixels[from];
    }
    const values = words.map((word) => {
      const value = (word & mask) >> below;
      return sign && value >> (stored - 1) ? value - (1 << stored) : value;
    });
    const filled = ((1 << allocated) - 1) & ~mask;
    const copies = (word, at) => sign && ((values[at] << below) & ((1 << allocated) - 1)) === word;
    const clean = words.every((word) => !(word & filled)) || words.every(copies);
    if (clean) outside.push(Uint8Array.of(0));
    else {
      const rest = new Uint8Array(count * wide);
      words.forEach((word, at) => {
        for (let byte = 0; byte < wide; byte++) rest[at * wide + byte] = ((word & filled) >> (8 * byte)) & 255;
      });
      outside.push(joined(Uint8Array.of(1), await sha256(Uint8Array.of(allocated), rest)));
    }
    const blocks = [];
    for (let top = 0; top < rows; top += 64) {
      for (let left = 0; left < columns; left += 64) {
        const [down, across] = [Math.min(64, rows - top), Math.min(64, columns - left) * samples];
        const block = new Uint8Array(down * across * width);
        for (let y = 0; y < down; y++) {
          for (let x = 0; x < across; x++) {
            const value = values[((top + y) * columns + left) * samples + x];
            for (let byte = 0; byte < width; byte++) block[(y * across + x) * width + byte] = (value >> (8 * byte)) & 255;
          }
        }
        blocks.push(await leafHash(block));
      }
    }
    hashes.push(await leafHash(await layerDigest("px.frame", header, await treeRoot(blocks))));
  }
  const dirty = outside.filter((each) => each.length > 1).length;
  const leaves = await Promise.all(outside.map(leafHash));
  const statement = dirty ? [Uint8Array.of(1), uint(frames, 4), await treeRoot(leaves)] : [Uint8Array.of(0)];
  const px = await layerDigest("px", uint(frames, 4), await treeRoot(hashes));
  return { digests: [["hb", await layerDigest("hb", ...statement)], ["px", px]], highBits: dirty };
}

const FINGERPRINTS = { text: fingerprintText, dicom: fingerprintDicom };
