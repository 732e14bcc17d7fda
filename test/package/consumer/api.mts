// What a program sees of the API: it compiles, and misuse does not.
import { writeFile } from "node:fs/promises";
import {
  type Answer,
  type AnswerEvent,
  anls,
  batch,
  batchFile,
  type BatchProgress,
  boxesFromMap,
  type Chat,
  choiceLetter,
  demoModel,
  loadModel,
  type Model,
  type PicturePart,
  pseudoLabels,
  pull,
  type PullProgress,
  regionFromMap,
  relaxedAccuracy,
  renderOverlay,
  type RoI,
  RoIPredictor,
  SdRpnError,
  type Session,
  type Turn,
  vqaAccuracy,
  type ZodSchema,
} from "sd-rpn";

export async function use(signal: AbortSignal): Promise<string> {
  await using model: Model = await loadModel({
    ...demoModel(),
    gpuLayers: "auto",
    threads: 4,
    contextSize: 4096,
    parallel: 2,
    sessionCacheBytes: 0,
    maxImagePixels: 1e6,
    log: (level: "debug" | "info" | "warn" | "error", text: string) => void [level, text],
    onProgress: (fraction: number) => void fraction,
    signal,
  });
  const roi: RoI = await model.predictRoI("a.png", "What?", { threshold: 0.15, signal });
  const data: Float32Array = roi.map.data;
  if (roi.found) await writeFile("where.png", await renderOverlay(new URL("file:///a.png"), roi));

  const answer: Answer = await model.answer(new Uint8Array(8), "What?", {
    roi: [{ x: 0, y: 0, width: 10, height: 10 }],
    maxTokens: 5,
    temperature: 0.7,
    topP: 0.9,
    topK: 40,
    seed: 1,
    stop: ["\n"],
    onToken: (text: string) => void text,
    signal,
  });
  const reason: "stop" | "length" | "aborted" = answer.finishReason;
  const reused: number = answer.usage.reusedTokens + answer.timings.total;

  await using session: Session = await model.open({ data: new Uint8ClampedArray(12), width: 2, height: 2, channels: 3 });
  for await (const event of session.answerStream("What?", { roi: "never" })) {
    const any: AnswerEvent = event;
    if (any.type === "done") return any.answer.text + reason + reused + data.length;
  }
  const features: Float32Array = await model.encodeImage(new ArrayBuffer(8));
  return `${features.length} ${model.info.versions.llama} ${model.info.grid.width}`;
}

export async function score(hidden: Float32Array): Promise<Float32Array> {
  await using predictor = await RoIPredictor.load("rpn.gguf");
  return predictor.score(hidden, { tokens: 2, imageStart: 0, imageTokens: 1, queryIndex: 1 });
}

const size = { width: 24, height: 24 };
export const pure = [
  boxesFromMap([0], { grid: size, image: size, threshold: 0.15 }).boxes[0]?.score,
  regionFromMap(new Float32Array(1), { grid: size, image: size, model: size, threshold: -0.5, minArea: 1, maxArea: 9 }).keep?.length,
  pseudoLabels([0], new Float64Array(1), { grid: size }).foregroundBox[3],
  vqaAccuracy("a", ["a", "b"]),
  anls("a", ["a"]),
  relaxedAccuracy("1", "1"),
  choiceLetter("A"),
];

/** An aborted call's error has what was said by then. */
export async function partial(model: Model, signal: AbortSignal): Promise<string> {
  try {
    return (await model.answer("a.png", "What?", { signal })).text;
  } catch (error) {
    if (!(error instanceof SdRpnError)) throw error;
    const answer: Answer | undefined = error.answer;
    // @ts-expect-error there may be none
    error.answer.text;
    // @ts-expect-error read only
    error.answer = undefined;
    return answer?.finishReason === "aborted" ? answer.text : `${error.file}:${error.line}`;
  }
}

/** The value of an answer in a format has its schema's type. */
export async function typed(model: Model, session: Session, schema: ZodSchema<{ total: number }>): Promise<number | undefined> {
  const { value, logprobs } = await model.answer("a.png", "What?", { format: { type: "json", schema }, logprobs: 5 });
  const total: number | undefined = value?.total;
  // @ts-expect-error no such property
  value?.price;
  // @ts-expect-error it may be null
  value.total;
  const plain = await session.answer("What?", { format: { type: "json", schema: { type: "object" } } });
  // @ts-expect-error nothing is known of it
  plain.value?.total;
  for await (const event of session.answerStream("What?", { format: { type: "json", schema } })) {
    if (event.type === "done") return event.answer.value?.total;
  }
  // @ts-expect-error no such format
  await model.answer("a.png", "What?", { format: { type: "xml", schema } });
  const { confidence }: Answer = await model.answer("a.png", "What?", { logprobs: true, grammar: "root ::= [0-9]+" });
  return total ?? logprobs?.[0].top[0].logprob ?? confidence;
}

/** What was said before, and what stands before the picture. */
export async function talk(model: Model): Promise<Turn[]> {
  await using session = await model.open("a.png", { system: "Be brief." });
  const chat: Chat = session.chat({ history: [{ role: "user", text: "What?" }, { role: "assistant", text: "That." }] });
  const answer: Answer = await chat.answer("And then?", { maxTokens: 5, roi: "never" });
  for await (const event of chat.answerStream("And then?", { choices: ["yes", "no"] })) {
    if (event.type === "done") answer.text = event.answer.text;
  }
  await session.answer("What?", { history: chat.history });
  await model.answer("a.png", "What?", { history: [], system: "Be brief." });
  await model.predictRoI("a.png", "What?", { system: "Be brief." });
  // @ts-expect-error a session has that of open
  await session.answer("What?", { system: "Be brief." });
  // @ts-expect-error a chat keeps its own
  await chat.answer("What?", { history: [] });
  // @ts-expect-error no such role
  session.chat({ history: [{ role: "system", text: "Be brief." }] });
  // @ts-expect-error a copy cannot be put back
  chat.history = [];
  return chat.history;
}

/** Several pictures. */
export async function compare(model: Model): Promise<number> {
  const answer = await model.answer(["a.png", new Uint8Array(8)], "What?");
  const parts: PicturePart[] | undefined = answer.pictures;
  await using session = await model.open(["a.png", "b.png"] as const, { system: "Be brief." });
  for await (const event of session.answerStream("What?")) {
    if (event.type === "roi") return event.picture ?? event.roi.boxes.length;
  }
  // @ts-expect-error there may be none
  answer.pictures.length;
  // @ts-expect-error a region is one picture's
  await model.predictRoI(["a.png", "b.png"], "What?");
  return parts?.[1].roi?.boxes.length ?? 0;
}

export async function misuse(model: Model): Promise<void> {
  // @ts-expect-error an option that does not exist
  await model.answer("a.png", "What?", { treshold: 0.1 });
  // @ts-expect-error a mode that does not exist
  await model.answer("a.png", "What?", { roi: "sometimes" });
  // @ts-expect-error no question
  await model.predictRoI("a.png");
  // @ts-expect-error a picture is no number
  await model.encodeImage(7);
}

export async function kindsOfInput(model: Model, canvas: { data: Uint8ClampedArray; width: number; height: number }): Promise<void> {
  await model.answer(new Blob([]), "?", { page: 1, background: "#ffffff", rotate: 90 });
  await model.answer(new Blob([]).stream(), "?");
  await model.answer(process.stdin, "?");
  await model.answer(canvas, "?", { imageTokens: { min: 256, max: 576 }, gate: 0.1, roiPositions: "aligned" });
  // @ts-expect-error pictures are turned by whole quarters
  await model.answer({ data: new Uint8Array(3), width: 1, height: 1, channels: 3, order: "bgr" }, "?", { rotate: 45 });
}

export async function many(model: Model, schema: ZodSchema<{ total: number }>, signal: AbortSignal): Promise<void> {
  async function* items() {
    yield { id: "a", image: "a.png", question: "What?" };
    yield { image: [new Uint8Array(8), "b.png"] };
  }
  for await (const { id, answer, error } of batch(model, items(), { question: "What?", concurrency: 3, format: { type: "json", schema }, signal })) {
    const shown: string = error ? error.code : `${id} ${answer.text}`;
    const total: number | undefined = answer?.value?.total;
    void [shown, total];
  }
  const { done, failed }: BatchProgress = await batchFile(model, { data: "qa.jsonl", out: "a.csv", choices: ["a", "b"], overlay: "seen", onProgress: (now: BatchProgress) => void now, signal });
  // @ts-expect-error no item without a picture
  batch(model, [{ question: "What?" }]);
  // @ts-expect-error the words of many answers at once are of no use
  batch(model, [], { onToken: () => {} });
  const { folder, files } = await pull("owner/name:file.gguf", { onProgress: ({ received, size }: PullProgress) => void [received, size], signal });
  const named = await loadModel({ model: "hf:owner/name", rpn: null, download: true, onDownload: (now: PullProgress) => void now });
  const paths: { model: string; mmproj: string; rpn: string | null } = named.info.files;
  void [done, failed, folder, files[0].path, paths];
}
