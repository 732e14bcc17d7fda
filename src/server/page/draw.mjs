// Draws what was looked at over the picture, and what was read beside it.

/** Colours of the heat from little to much, as in the library's overlay. */
const RAMP = [[126, 3, 168], [168, 34, 150], [204, 71, 120], [230, 108, 92], [248, 149, 64], [253, 195, 40], [240, 249, 33]];
const CLEAR_BELOW = 0.03;

/**
 * The heat map. The model sees a picture of LLaVA's family in the middle of a square, so that cells at its edges may lie beside it; other
 * maps cover the picture from edge to edge.
 */
export function drawHeat(canvas, map, image, square) {
  const cells = new OffscreenCanvas(map.width, map.height);
  const pixels = new ImageData(map.width, map.height);
  map.data.forEach((value, index) => {
    const at = Math.min(1, Math.max(0, value)) * (RAMP.length - 1);
    const low = RAMP[Math.floor(at)];
    const high = RAMP[Math.ceil(at)];
    low.forEach((channel, c) => (pixels.data[4 * index + c] = channel + (high[c] - channel) * (at % 1)));
    pixels.data[4 * index + 3] = value < CLEAR_BELOW ? 0 : 255 * Math.min(1, 0.25 + value);
  });
  cells.getContext("2d").putImageData(pixels, 0, 0);
  const scale = Math.min(1, 1024 / Math.max(image.width, image.height));
  canvas.width = Math.max(1, Math.round(image.width * scale));
  canvas.height = Math.max(1, Math.round(image.height * scale));
  const side = Math.max(canvas.width, canvas.height);
  const [width, height] = square ? [side, side] : [canvas.width, canvas.height];
  canvas.getContext("2d").drawImage(cells, (canvas.width - width) / 2, (canvas.height - height) / 2, width, height);
  canvas.classList.add("shown");
}

export function clearHeat(canvas) {
  canvas.classList.remove("shown");
}

/** Boxes of annotations, in parts of the picture. */
export function drawBoxes(element, annotations) {
  element.replaceChildren(...annotations.map(({ image_region: { box } }) => {
    const [left, top, right, bottom] = box.map((part) => 100 * part);
    const drawn = document.createElement("div");
    drawn.className = "box";
    Object.assign(drawn.style, { left: `${left}%`, top: `${top}%`, width: `${right - left}%`, height: `${bottom - top}%` });
    return drawn;
  }));
}

/** The part of the picture that the second look read. */
export function drawCrop(canvas, picture, { x, y, width, height }, image) {
  const scale = picture.naturalWidth / image.width; // 1 unless the browser decodes another size
  canvas.width = Math.max(1, Math.round(width));
  canvas.height = Math.max(1, Math.round(height));
  canvas.getContext("2d").drawImage(picture, x * scale, y * scale, width * scale, height * scale, 0, 0, canvas.width, canvas.height);
}

const PHASES = { decode: "read", vision: "see", prefill: "prompt", rpn: "look", crop: "cut out", generate: "write" };

/** Milliseconds of each phase as bars, and what was reused in words. */
export function drawPhases(element, timings) {
  const most = Math.max(1, ...Object.keys(PHASES).map((phase) => timings[phase]));
  const rows = Object.entries(PHASES).flatMap(([phase, name]) => {
    const [label, bar, time] = ["span", "i", "span"].map((tag) => document.createElement(tag));
    label.textContent = name;
    bar.style.width = `${(100 * timings[phase]) / most}%`;
    time.textContent = `${timings[phase].toFixed(0)} ms`;
    return [label, bar, time];
  });
  element.replaceChildren(...rows);
  element.setAttribute("aria-label", `Time: ${Object.entries(PHASES).map(([phase, name]) => `${name} ${timings[phase].toFixed(0)} ms`).join(", ")}`);
}
