// How the product could break what the load suite promises.
const { signalled, withModels } = require("./wrap.cjs");

const CALLS = ["answer", "predictRoI", "encodeImage"];
const each = (model, change) => Object.fromEntries(CALLS.map((name) => [name, change((...args) => model[name](...args), name)]));

/** Changes what a call gives that another one ran beside. */
function inCompany(change) {
  return (lib) => withModels(lib, (model) => {
    let running = 0;
    let most = 0;
    return each(model, (call, name) => async (...args) => {
      most = Math.max(most, ++running);
      try {
        const result = await call(...args);
        return most > 1 ? change(name, result) : result;
      } finally {
        if (--running === 0) most = 0;
      }
    });
  });
}

const onMap = (name, result, change) => (name === "predictRoI" ? { ...result, map: { ...result.map, data: change(result.map.data) } } : result);

module.exports = {
  "answers of two calls are swapped": {
    make: (lib) => withModels(lib, (model) => {
      let other;
      return { answer: async (...args) => {
        const answer = await model.answer(...args);
        [other, answer.text] = [answer.text, other ?? answer.text];
        return answer;
      } };
    }),
    says: [/\(answer.*\) gave .* but alone/],
  },
  "a map is another in company": {
    make: inCompany((name, result) => onMap(name, result, (data) => data.map((value) => value + 2e-3))),
    says: [/\(predictRoI\) gave/],
  },
  "a map has no numbers in company": {
    make: inCompany((name, result) => onMap(name, result, (data) => data.map(() => NaN))),
    says: [/\(predictRoI\) gave/],
  },
  "one bit of the features is another in company": {
    make: inCompany((name, result) => {
      if (name === "encodeImage") new Uint8Array(result.buffer, result.byteOffset)[0] ^= 1;
      return result;
    }),
    says: [/\(encodeImage\) gave/],
  },
  "the last call comes first": {
    make: (lib) => withModels(lib, (model) => {
      const waiting = [];
      let running = false;
      const run = async () => {
        running = true;
        await new Promise(setImmediate);
        for (let start = waiting.pop(); start; start = waiting.pop()) await start();
        running = false;
      };
      return each(model, (call) => (...args) => new Promise((resolve, reject) => {
        waiting.push(() => call(...args).then(resolve, reject));
        if (!running) run();
      }));
    }),
    says: [/a call was overtaken by \d+/],
  },
  "a call never settles in company": {
    args: ["--seconds", "20"],
    make: inCompany((name, result) => (name === "encodeImage" ? new Promise(() => {}) : result)),
    says: [/\(encodeImage\) settled 0 times/],
  },
  "the signal is dropped": {
    make: (lib) => withModels(lib, (model) => signalled(model, { passes: () => undefined })),
    says: [/aborted before: .* ended with a result/, /of \d+ calls aborted at work ended with ABORTED/],
  },
  "wrong input has another code": {
    make: (lib) => withModels(lib, (model) => signalled(model, { ends: (error) => error && (error.code === "ABORTED" ? error : new lib.SdRpnError("INTERNAL", error.message)) })),
    says: [/bad input: IMAGE_INVALID\) ended with/],
  },
  "a call keeps its memory": {
    make: (lib) => {
      const kept = [];
      return withModels(lib, (model) => each(model, (call) => (...args) => {
        kept.push(Buffer.alloc(8e6, 1));
        return call(...args);
      }));
    },
    says: [/memory grew from/],
  },
};
