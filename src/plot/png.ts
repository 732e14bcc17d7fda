import sharp from "sharp";

/**
 * The charts of this folder as one PNG, below each other.
 *
 * @param charts SVG documents of the same width, without text elements
 * @param scale pixels of the picture per pixel of the chart; default 2
 */
export async function chartsToPng(charts: readonly string[], scale = 2): Promise<Buffer> {
  const parts = await Promise.all(charts.map((chart) => sharp(Buffer.from(chart), { density: 72 * scale }).png().toBuffer({ resolveWithObject: true })));
  if (parts.length === 1) {
    return parts[0].data;
  }
  const width = Math.max(...parts.map(({ info }) => info.width));
  const height = parts.reduce((sum, { info }) => sum + info.height, 0);
  let top = 0;
  const layers = parts.map(({ data, info }) => {
    const layer = { input: data, left: 0, top };
    top += info.height;
    return layer;
  });
  return sharp({ create: { width, height, channels: 3, background: "#ffffff" } }).composite(layers).png().toBuffer();
}
