// How the product could break what the abort suite promises.
const { signalled, withModels } = require("./wrap.cjs");

const KINDS = ["answer", "answerStream", "predictRoI", "encodeImage", "open"];
const calls = (hooks) => (lib) => withModels(lib, (model) => signalled(model, hooks(lib, model)));
const aborted = (lib, signal) => new lib.SdRpnError("ABORTED", "The operation was aborted", { cause: signal.reason });
const sleep = (ms) => new Promise((done) => setTimeout(done, ms));

/** Changes the answers that come after three aborts. */
const afterAborts = (change) => (lib) => withModels(lib, (model) => {
  let aborts = 0;
  const methods = signalled(model, { ends: (error) => (error && aborts++, error) });
  return { ...methods, answer: async (...args) => {
    const answer = await methods.answer(...args);
    return aborts > 2 ? change(lib, answer) : answer;
  } };
});

module.exports = {
  "the signal is dropped": {
    make: calls(() => ({ passes: () => undefined })),
    says: [
      ...KINDS.flatMap((kind) => ["aborted before", "at work"].map((phase) => new RegExp(`^${kind}, ${phase}: 0 of \\d+ ended with ABORTED`, "m"))),
      ...KINDS.map((kind) => new RegExp(`^${kind}, in the queue: ended with a result`, "m")),
      /^answerStream, at the region: 0 of/m,
      /^answer, at the first token: 0 of/m,
      /^answerStream, at the first token: 0 of/m,
    ],
  },
  "an aborted call works to its end first": {
    make: calls((lib) => ({ passes: () => undefined, ends: (error, signal) => (signal?.aborted ? aborted(lib, signal) : error) })),
    says: [/in the queue: ended after \d+ of the calls before it/, /of what was left of a long answer/],
  },
  "an aborted open ends five seconds late": {
    make: (lib) => withModels(lib, (model) => ({ open: signalled(model, { ends: async (error) => (error && (await sleep(5000)), error) }).open })),
    says: [/aborts of open took \d+ ms in the median/],
  },
  "the reason is lost": {
    make: calls((lib) => ({ ends: (error) => error && new lib.SdRpnError("ABORTED", error.message) })),
    says: KINDS.map((kind) => new RegExp(`^${kind}, .*: ended with ABORTED: .*cause undefined`, "m")),
  },
  "an aborted call keeps its cells": {
    make: afterAborts((lib) => {
      throw new lib.SdRpnError("CONTEXT_OVERFLOW", "The context has no room");
    }),
    says: [/after abort \d+: CONTEXT_OVERFLOW.* instead of/],
  },
  "the answer after an abort is another": {
    make: afterAborts((_, answer) => ({ ...answer, text: `${answer.text}.` })),
    says: [/after abort \d+: .* instead of/],
  },
  "a model is disposed when its queue is worked off": {
    make: (lib) => withModels(lib, (model) => {
      const pending = new Set();
      const answer = (...args) => {
        const call = model.answer(...args);
        pending.add(call);
        call.catch(() => {}).finally(() => pending.delete(call));
        return call;
      };
      return { answer, dispose: async () => (await Promise.allSettled(pending), model.dispose()) };
    }),
    says: [/calls of a disposed model ended with DISPOSED/],
  },
};
