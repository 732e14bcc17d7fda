// A CLIP vision tower with LLaVA-1.5's projector, in plain float64 arithmetic, and its GGUF file with random weights.

import { array, bool, f32, f32Tensor, type Gguf, type GgufTensor, str, u32 } from "./gguf-writer";

export interface ClipShape {
  imageSize: number;
  patchSize: number;
  width: number;
  heads: number;
  feedForward: number;
  blocks: number;
  /** width of the projector's output */
  projection: number;
  /** hidden states side by side in the projector's input */
  features: number;
}

const EPSILON = 1e-5;
const MEAN = [0.48, 0.46, 0.41];
const STD = [0.27, 0.26, 0.28];

type Rows = Float64Array[];

/** Weights by tensor name, as the GGUF file holds them: the rows of a matrix are its outputs. */
export class ClipReference {
  private readonly weights = new Map<string, { shape: number[]; values: Float32Array }>();

  constructor(
    readonly shape: ClipShape,
    seed: number,
  ) {
    const { imageSize, patchSize, width, feedForward, blocks, projection, features } = shape;
    const normal = gaussian(seed);
    const add = (name: string, dimensions: number[], deviation: number, mean = 0): void => {
      const values = Float32Array.from({ length: dimensions.reduce((a, b) => a * b) }, () => mean + deviation * normal());
      this.weights.set(name, { shape: dimensions, values });
    };
    const norm = (name: string): void => {
      add(`${name}.weight`, [width], 0.2, 1);
      add(`${name}.bias`, [width], 0.2);
    };
    // outputs about as large as the inputs, so that every block changes the state considerably
    const linear = (name: string, inputs: number, outputs: number): void => {
      add(`${name}.weight`, [inputs, outputs], 1 / Math.sqrt(inputs));
      add(`${name}.bias`, [outputs], 0.2);
    };
    add("v.class_embd", [width], 1);
    add("v.patch_embd.weight", [patchSize, patchSize, 3, width], 1 / Math.sqrt(3 * patchSize ** 2));
    add("v.position_embd.weight", [width, (imageSize / patchSize) ** 2 + 1], 1);
    norm("v.pre_ln");
    norm("v.post_ln"); // never read by LLaVA
    for (let block = 0; block < blocks; block++) {
      const name = `v.blk.${block}`;
      norm(`${name}.ln1`);
      norm(`${name}.ln2`);
      for (const part of ["attn_q", "attn_k", "attn_v", "attn_out"]) {
        linear(`${name}.${part}`, width, width);
      }
      linear(`${name}.ffn_up`, width, feedForward);
      linear(`${name}.ffn_down`, feedForward, width);
    }
    linear("mm.0", width * features, projection);
    linear("mm.2", projection, projection);
  }

  /** The mmproj file; `featureLayer` is its clip.vision.feature_layer. */
  gguf(featureLayer?: number[]): Gguf {
    const { imageSize, patchSize, width, heads, feedForward, blocks, projection } = this.shape;
    const metadata: Gguf["metadata"] = new Map([
      ["general.architecture", str("clip")],
      ["clip.has_vision_encoder", bool(true)],
      ["clip.projector_type", str("mlp")],
      ["clip.use_gelu", bool(false)],
      ["clip.vision.image_size", u32(imageSize)],
      ["clip.vision.patch_size", u32(patchSize)],
      ["clip.vision.embedding_length", u32(width)],
      ["clip.vision.feed_forward_length", u32(feedForward)],
      ["clip.vision.block_count", u32(blocks)],
      ["clip.vision.projection_dim", u32(projection)],
      ["clip.vision.attention.head_count", u32(heads)],
      ["clip.vision.attention.layer_norm_epsilon", f32(EPSILON)],
      ["clip.vision.image_mean", array("f32", MEAN)],
      ["clip.vision.image_std", array("f32", STD)],
    ]);
    if (featureLayer) {
      metadata.set("clip.vision.feature_layer", array("i32", featureLayer));
    }
    const tensors: GgufTensor[] = [...this.weights].map(([name, { shape, values }]) => f32Tensor(name, shape, values));
    return { metadata, tensors };
  }

  /**
   * The projector's output for RGB pixels of the model's own size, [tokens * projection]. It reads the hidden states
   * after these numbers of blocks, side by side, without the class token.
   */
  encode(rgb: Uint8Array, afterBlocks: number[]): Float64Array {
    let state = this.norm("v.pre_ln", this.embed(rgb));
    const features: Rows[] = [];
    for (let block = 0; block <= Math.max(...afterBlocks); block++) {
      if (afterBlocks.includes(block)) {
        features.push(state.slice(1));
      }
      if (block < this.shape.blocks) {
        state = this.block(`v.blk.${block}`, state);
      }
    }
    const stacked = features[0].map((_, token) => Float64Array.from(features.flatMap((rows) => [...rows[token]])));
    const hidden = this.linear("mm.0", stacked).map((row) => row.map(gelu));
    return Float64Array.from(this.linear("mm.2", hidden).flatMap((row) => [...row]));
  }

  private embed(rgb: Uint8Array): Rows {
    const { imageSize, patchSize, width } = this.shape;
    const kernel = this.values("v.patch_embd.weight");
    const tokens: Rows = [Float64Array.from(this.values("v.class_embd"))];
    for (let top = 0; top < imageSize; top += patchSize) {
      for (let left = 0; left < imageSize; left += patchSize) {
        const pixels: number[] = [];
        for (let channel = 0; channel < 3; channel++) {
          for (let y = 0; y < patchSize; y++) {
            for (let x = 0; x < patchSize; x++) {
              const value = rgb[((top + y) * imageSize + left + x) * 3 + channel];
              pixels.push((value / 255 - MEAN[channel]) / STD[channel]);
            }
          }
        }
        tokens.push(Float64Array.from({ length: width }, (_, i) => dot(pixels, kernel, i * pixels.length)));
      }
    }
    const positions = this.values("v.position_embd.weight");
    return tokens.map((row, token) => row.map((value, i) => value + positions[token * width + i]));
  }

  private block(name: string, state: Rows): Rows {
    const attended = sum(state, this.attention(name, this.norm(`${name}.ln1`, state)));
    const hidden = this.linear(`${name}.ffn_up`, this.norm(`${name}.ln2`, attended)).map((row) => row.map(quickGelu));
    return sum(attended, this.linear(`${name}.ffn_down`, hidden));
  }

  private attention(name: string, rows: Rows): Rows {
    const { width, heads } = this.shape;
    const size = width / heads;
    const [q, k, v] = ["attn_q", "attn_k", "attn_v"].map((part) => this.linear(`${name}.${part}`, rows));
    const mixed = rows.map(() => new Float64Array(width));
    for (let head = 0; head < heads; head++) {
      const part = (row: Float64Array): Float64Array => row.subarray(head * size, (head + 1) * size);
      for (let token = 0; token < rows.length; token++) {
        const scores = k.map((key) => Math.exp(dot(part(q[token]), part(key), 0) / Math.sqrt(size)));
        const total = scores.reduce((a, b) => a + b);
        v.forEach((value, other) => {
          part(value).forEach((x, i) => (mixed[token][head * size + i] += (scores[other] / total) * x));
        });
      }
    }
    return this.linear(`${name}.attn_out`, mixed);
  }

  private norm(name: string, rows: Rows): Rows {
    const weight = this.values(`${name}.weight`);
    const bias = this.values(`${name}.bias`);
    return rows.map((row) => {
      const mean = row.reduce((a, b) => a + b) / row.length;
      const variance = row.reduce((total, x) => total + (x - mean) ** 2, 0) / row.length;
      return row.map((x, i) => ((x - mean) / Math.sqrt(variance + EPSILON)) * weight[i] + bias[i]);
    });
  }

  private linear(name: string, rows: Rows): Rows {
    const weight = this.values(`${name}.weight`);
    const bias = this.values(`${name}.bias`);
    return rows.map((row) => Float64Array.from(bias, (b, i) => b + dot(row, weight, i * row.length)));
  }

  private values(name: string): Float32Array {
    return this.weights.get(name)!.values;
  }
}

function dot(a: ArrayLike<number>, b: ArrayLike<number>, offset: number): number {
  let total = 0;
  for (let i = 0; i < a.length; i++) {
    total += a[i] * b[offset + i];
  }
  return total;
}

function sum(a: Rows, b: Rows): Rows {
  return a.map((row, token) => row.map((x, i) => x + b[token][i]));
}

function quickGelu(x: number): number {
  return x / (1 + Math.exp(-1.702 * x));
}

/** The tanh approximation, which ggml uses. */
function gelu(x: number): number {
  return 0.5 * x * (1 + Math.tanh(Math.sqrt(2 / Math.PI) * (x + 0.044715 * x ** 3)));
}

/** Uniform numbers in [0, 1) from a seed (mulberry32). */
export function random(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let t = Math.imul(state ^ (state >>> 15), state | 1);
    t = (t + Math.imul(t ^ (t >>> 7), t | 61)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32;
  };
}

function gaussian(seed: number): () => number {
  const uniform = random(seed);
  return () => Math.sqrt(-2 * Math.log(1 - uniform())) * Math.cos(2 * Math.PI * uniform());
}
