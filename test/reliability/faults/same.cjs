// How the product could break what the same suite promises; each process of the suite has the fault.
const { withModels } = require("./wrap.cjs");

/** Changes what a call gives, knowing the options that the model was loaded with. */
const changed = (name, change) => (lib) => ({ ...lib, loadModel: async (options) => {
  const { loadModel } = withModels(lib, (model) => ({ [name]: async (...args) => change(await model[name](...args), options) }));
  return loadModel(options);
} });
const onMap = (change) => changed("predictRoI", (roi, options) => ({ ...roi, map: { ...roi.map, data: change(roi.map.data, options) } }));

module.exports = {
  "a seed is not used": {
    make: (lib) => withModels(lib, (model) => ({ answer: (image, question, { seed, ...rest } = {}) => model.answer(image, question, seed === undefined ? rest : { ...rest, seed: process.pid }) })),
    says: [/, sampled: .* instead of/],
  },
  "the text depends on the threads": {
    make: changed("answer", (answer, { threads }) => ({ ...answer, text: threads > 1 ? `${answer.text}.` : answer.text })),
    says: [/^2 threads, .*, greedy: .* instead of/m],
  },
  "the map depends on the threads": {
    make: onMap((data, { threads }) => data.map((value) => value + 2e-3 * (threads - 1))),
    says: [/^2 threads, .*: map differ by [12]\.\de-3/m],
  },
  "the map depends on the company": {
    make: onMap((data, { parallel }) => data.map((value) => value + (parallel > 1 ? 2e-3 : 0))),
    says: [/^1 threads, parallel 4, .*: map differ by [12]\.\de-3/m],
  },
  "the map is never quite the same": {
    make: onMap((data) => data.map((value) => value * (1 + 1e-5 * Math.random()))),
    says: [/map of two processes differ/],
  },
  "the features are never quite the same": {
    make: changed("encodeImage", (features) => features.map((value) => value * (1 + 1e-5 * Math.random()))),
    says: [/features of two processes differ/],
  },
  "the map has no numbers": {
    make: onMap((data) => data.map(() => NaN)),
    says: [/map has no numbers/],
  },
  "a process ends early": {
    make: changed("encodeImage", () => process.exit(0)),
    says: [/the process ended with code 0, signal null and gave 0 of/],
  },
  "a process is killed": {
    make: changed("encodeImage", () => process.kill(process.pid, "SIGSEGV")),
    says: [/the process ended with code null, signal SIGSEGV/],
  },
};
