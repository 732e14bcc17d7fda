// What the faults share: objects of the library with some of their methods replaced.

/** `object` with other methods; all else is its own. */
function override(object, methods) {
  return new Proxy(object, {
    get(target, name) {
      if (Object.hasOwn(methods, name)) return methods[name];
      const value = Reflect.get(target, name, target);
      return typeof value === "function" ? value.bind(target) : value;
    },
  });
}

/** A library whose models have the methods that `change(model)` gives. */
const withModels = (lib, change) => ({ ...lib, loadModel: async (...args) => {
  const model = await lib.loadModel(...args);
  return override(model, change(model));
} });

/**
 * The calls of a model that take a signal, with two places where a fault can sit: `passes(signal)` is what the product gets,
 * and `ends(error, signal)` what the call then ends with (undefined: its result).
 */
function signalled(model, { passes = (signal) => signal, ends = (error) => error }) {
  const settle = async (signal, work) => {
    let value;
    let error;
    try {
      value = await work(passes(signal));
    } catch (caught) {
      error = caught;
    }
    error = await ends(error, signal);
    if (error) throw error;
    return value;
  };
  const asking = (name) => (image, question, { signal, ...rest } = {}) => settle(signal, (given) => model[name](image, question, { ...rest, signal: given }));
  const looking = (name) => (image, { signal } = {}) => settle(signal, (given) => model[name](image, { signal: given }));
  return {
    answer: asking("answer"),
    predictRoI: asking("predictRoI"),
    encodeImage: looking("encodeImage"),
    open: looking("open"),
    async *answerStream(image, question, { signal, ...rest } = {}) {
      let error;
      try {
        yield* model.answerStream(image, question, { ...rest, signal: passes(signal) });
      } catch (caught) {
        error = caught;
      }
      error = await ends(error, signal);
      if (error) throw error;
    },
  };
}

module.exports = { override, signalled, withModels };
