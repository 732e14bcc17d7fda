/**
 * Which cells of a blurred map are foreground: those strictly above the threshold. A negative threshold is relative:
 * above `|threshold|` times the map's maximum. In float32 like the probabilities.
 */
export function foreground(blurred: Float32Array, threshold: number): boolean[] {
  let maximum = 0;
  for (const probability of blurred) {
    maximum = Math.max(maximum, probability);
  }
  const limit = Math.fround(threshold < 0 ? maximum * Math.fround(-threshold) : threshold);
  const mask: boolean[] = [];
  for (let cell = 0; cell < blurred.length; cell++) {
    mask.push(blurred[cell] > limit);
  }
  return mask;
}
