// Damages a GGUF file in the parts that its reader parses: counts, types, lengths, offsets, dimensions, alignment, values and strings.

const SIZES = [1, 1, 2, 2, 4, 4, 4, 1, 0, 0, 8, 8, 8]; // of the format's value types; 8 is a string, 9 an array
const SCALARS = [0n, 1n, 2n, 3n, 7n, 31n, 33n, 255n, 0x7fffn, 0xffffn, 0x7fffffffn, 0x80000000n, 0xffffffffn, 1n << 32n, (1n << 40n) + 1n, (1n << 62n) - 1n, (1n << 63n) - 1n, 1n << 63n, (1n << 64n) - 1n];

/** Where the numbers and texts of a file's header are: { what, at, size }. */
function fieldsOf(bytes) {
  const fields = [{ what: "magic", at: 0, size: 4 }, { what: "version", at: 4, size: 4 }, { what: "tensor count", at: 8, size: 8 }, { what: "key count", at: 16, size: 8 }];
  const tensors = Number(bytes.readBigUInt64LE(8));
  const keys = Number(bytes.readBigUInt64LE(16));
  let at = 24;
  const number = (what, size) => {
    fields.push({ what, at, size });
    at += size;
    return Number(size === 8 ? bytes.readBigUInt64LE(at - 8) : bytes.readUIntLE(at - size, size));
  };
  const string = (what) => {
    const length = number(`length of ${what}`, 8);
    if (length > 0) fields.push({ what, at, size: length, text: true });
    at += length;
  };
  const value = (type) => (type === 8 ? string("string") : number("value", SIZES[type]));
  for (let i = 0; i < keys; i++) {
    string("key");
    const type = number("value type", 4);
    if (type !== 9) {
      value(type);
      continue;
    }
    const of = number("element type", 4);
    const count = number("element count", 8);
    for (let k = 0; k < count; k++) {
      if (k < 40) value(of);
      else if (of === 8) at += 8 + Number(bytes.readBigUInt64LE(at));
      else at += SIZES[of];
    }
  }
  const infos = at;
  for (let i = 0; i < tensors; i++) {
    string("tensor name");
    const dimensions = number("dimension count", 4);
    for (let k = 0; k < dimensions; k++) number("dimension", 8);
    number("tensor type", 4);
    number("tensor offset", 8);
  }
  return { fields, infos, end: at };
}

/** One damaged copy, and what was done to it. */
function mutateGguf(good, { fields, infos, end }, next) {
  const kind = next(20);
  if (kind === 0) {
    const length = next(2) ? next(end + 64) : next(good.length);
    return { bytes: good.subarray(0, length), what: `truncation at ${length}` };
  }
  if (kind === 1) { // a piece left out, or doubled
    const { at } = fields[next(fields.length)];
    const length = 1 + next(64);
    const twice = next(2) === 1;
    return { bytes: Buffer.concat([good.subarray(0, at + (twice ? length : 0)), good.subarray(at + (twice ? 0 : length))]), what: `${length} bytes ${twice ? "doubled" : "dropped"} at ${at}` };
  }
  if (kind === 2) { // an alignment key of its own
    const key = Buffer.from("general.alignment");
    const entry = Buffer.alloc(8 + key.length + 8);
    entry.writeBigUInt64LE(BigInt(key.length), 0);
    key.copy(entry, 8);
    entry.writeUInt32LE(4, 8 + key.length);
    const alignment = [0, 1, 3, 8, 31, 64, 4096, 0x7fffffff, 0x80000000, 0xffffffff][next(10)];
    entry.writeUInt32LE(alignment, 12 + key.length);
    const bytes = Buffer.concat([good.subarray(0, infos), entry, good.subarray(infos)]);
    bytes.writeBigUInt64LE(bytes.readBigUInt64LE(16) + 1n, 16);
    return { bytes, what: `alignment ${alignment}` };
  }
  const bytes = Buffer.from(good);
  const done = [];
  if (kind <= 5) { // plain bit flips, most of them in the header
    for (let n = 1 + next(8); n > 0; n--) {
      const at = next(next(3) ? end : good.length);
      bytes[at] ^= 1 << next(8);
      done.push(`bit at ${at}`);
    }
    return { bytes, what: done.join(", ") };
  }
  for (let n = 1 + next(2); n > 0; n--) {
    // tensor infos are the most by number, so half of the fields come from the keys
    const { what, at, size, text } = fields[next(2) ? next(fields.length) : next(Math.min(fields.length, 400))];
    if (text) {
      bytes[at + next(size)] = next(256);
    } else {
      const old = size === 8 ? bytes.readBigUInt64LE(at) : BigInt(bytes.readUIntLE(at, size));
      const choice = next(4);
      const value = choice === 0 ? old + 1n : choice === 1 ? old - 1n : choice === 2 ? SCALARS[next(SCALARS.length)] : BigInt(next(16));
      const wrapped = BigInt.asUintN(8 * size, value);
      if (size === 8) bytes.writeBigUInt64LE(wrapped, at);
      else bytes.writeUIntLE(Number(wrapped), at, size);
      done.push(`${what} at ${at}: ${old} -> ${wrapped}`);
    }
    if (text) done.push(`${what} at ${at}`);
  }
  return { bytes, what: done.join(", ") };
}

module.exports = { fieldsOf, mutateGguf };
