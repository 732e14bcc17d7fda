// One signal may be given to any number of calls, at once and one after the other.
import { getEventListeners } from "node:events";
import { convertCheckpoint, loadModel, RoIPredictor, demoModel } from "../../src/index";
import { demoQuestions } from "../helpers/demo";

const [{ image, question }] = demoQuestions();

test("calls leave nothing with a signal that lives on, and Node has no reason to warn of it", async () => {
  const warnings: Error[] = [];
  const warned = (warning: Error): void => void warnings.push(warning);
  process.on("warning", warned);
  const { signal } = new AbortController();
  const listeners = (): number => getEventListeners(signal, "abort").length;

  const model = await loadModel({ signal, onProgress: () => {}, parallel: 8 });
  expect(listeners()).toBe(0);
  const session = await model.open(image, { signal });
  const options = { signal, maxTokens: 2 };
  const calls = Array.from({ length: 8 }, () => [
    model.answer(image, question, options),
    model.answer(image, question, { ...options, onToken: () => {} }),
    model.predictRoI(image, question, { signal }),
    session.answer(question, options),
    session.encodeImage({ signal }),
    model.encodeImage(image, { signal }),
    model.open(image, { signal }),
    (async () => {
      for await (const _ of model.answerStream(image, question, options));
    })(),
    (async () => {
      for await (const _ of session.answerStream(question, options)) break;
    })(),
    expect(model.answer("missing.jpg", question, options)).rejects.toMatchObject({ code: "IMAGE_INVALID" }),
  ]).flat();
  await Promise.all(calls);
  expect(listeners()).toBe(0);
  const predictor = await RoIPredictor.load(demoModel().rpn, { signal });
  await expect(convertCheckpoint({ checkpoint: "missing", out: "missing", signal } as never)).rejects.toBeDefined();
  await Promise.all([predictor.dispose(), session.dispose()]);
  await model.dispose();
  expect(listeners()).toBe(0);
  await new Promise((resolve) => setImmediate(resolve));
  process.off("warning", warned);
  expect(warnings).toEqual([]);
});
