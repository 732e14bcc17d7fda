/** A TIFF file of one strip, row by row, channels beside each other: sharp writes none of such samples. */
export function tiff(samples: Float32Array | Uint32Array | Int16Array, width: number, channels: 1 | 3): Buffer {
  const bits = samples.BYTES_PER_ELEMENT * 8;
  const format = samples instanceof Float32Array ? 3 : samples instanceof Int16Array ? 2 : 1;
  const height = samples.length / channels / width;
  const entries = 11;
  const lists = 8 + 2 + entries * 12 + 4; // where values lie that do not fit into an entry
  const data = lists + 2 * 2 * channels;
  const short = (value: number, list: number): [count: number, value: number] => (channels === 1 ? [1, value] : [channels, list]);
  const table: [tag: number, type: number, count: number, value: number][] = [
    [256, 4, 1, width], [257, 4, 1, height], [258, 3, ...short(bits, lists)], [259, 3, 1, 1], [262, 3, 1, channels === 1 ? 1 : 2], [273, 4, 1, data],
    [277, 3, 1, channels], [278, 4, 1, height], [279, 4, 1, samples.byteLength], [284, 3, 1, 1], [339, 3, ...short(format, lists + 2 * channels)],
  ];
  const head = Buffer.alloc(data);
  head.write("II*\0", "latin1");
  head.writeUInt32LE(8, 4);
  head.writeUInt16LE(entries, 8);
  for (const [i, [tag, type, count, value]] of table.entries()) {
    const at = 10 + 12 * i;
    head.writeUInt16LE(tag, at);
    head.writeUInt16LE(type, at + 2);
    head.writeUInt32LE(count, at + 4);
    head.writeUInt32LE(value, at + 8);
  }
  for (let i = 0; i < channels; i++) {
    head.writeUInt16LE(bits, lists + 2 * i);
    head.writeUInt16LE(format, lists + 2 * (channels + i));
  }
  return Buffer.concat([head, Buffer.from(samples.buffer, samples.byteOffset, samples.byteLength)]);
}
