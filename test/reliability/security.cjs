// What SECURITY.md promises: no library search, no sockets, bounds with typed errors, paths taken literally.
//
//   node test/reliability/security.cjs [--only TEXT] [--break FAULT]
const { execFileSync, spawnSync } = require("node:child_process");
const { copyFileSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } = require("node:fs");
const { tmpdir } = require("node:os");
const { join } = require("node:path");
const { Report, ROOT, demoQuestions, faultsOf, libraryOf, readOptions } = require("./common.cjs");

const options = readOptions({ only: "" });
const { RoIPredictor, demoModel, loadModel } = libraryOf("security", options);
const report = new Report("security");
const folder = mkdtempSync(join(tmpdir(), "sd-rpn-security-"));
const { image, question } = demoQuestions()[0];

/** A program's text that loads the demo model and asks it something. */
const ANSWER = `const { loadModel } = require(${JSON.stringify(join(__dirname, "common.cjs"))}).libraryOf("security", ${JSON.stringify(options)});
  loadModel().then(async (m) => { await m.answer(${JSON.stringify(image)}, ${JSON.stringify(question)}); await m.dispose(); });`;

/** Runs a program's text; it must end well and print no error. */
function run(script, env = {}) {
  const { status, signal, stdout, stderr } = spawnSync(process.execPath, ["-e", script], { cwd: ROOT, env: { ...process.env, ...env }, encoding: "utf8", timeout: 120_000 });
  report.check(status === 0 && signal === null && stderr === "", `the program ended with code ${status}, signal ${signal}; ${stderr.slice(0, 300)}`);
  return stdout;
}

const none = (what, found) => report.check(found.length === 0, `expected no ${what} but there are ${found.slice(0, 5).join(", ")}`);

/** The call must end with an error of this code, whose message has this text. */
async function refused(what, code, call, message = /./) {
  const error = await call.then(() => undefined, (reason) => reason);
  report.check(error?.code === code && message.test(error.message), `${what}: expected ${code} but received ${error ?? "a result"}`);
}

const CHECKS = {
  ...(process.platform === "linux" && {
    async "no library is searched for in the working directory"() {
      for (const name of ["libggml-cpu.so", "libggml-cuda.so", "libggml.so", "libllama.so", "libmtmd.so", "libggml-cpu-haswell.so"]) {
        writeFileSync(join(folder, name), "not a library");
      }
      run(`process.chdir(${JSON.stringify(folder)}); ${ANSWER}`, { LD_DEBUG: "libs,files", LD_DEBUG_OUTPUT: join(folder, "trace") });
      const text = readdirSync(folder).filter((name) => name.startsWith("trace.")).map((name) => readFileSync(join(folder, name), "utf8")).join("");
      report.check(text.includes(".node"), "the loader's trace does not name the addon");
      none("library that was looked for", text.split("\n").filter((line) => line.includes(folder) || /(file=|trying file=)\.?\/?lib(ggml|llama|mtmd)/.test(line)));
    },

    async "the addon knows no function of the network, and no search path"() {
      const addon = faultsOf("security", options.break)[0]?.addon ?? process.env.SD_RPN_BINARY ?? join(ROOT, "build", "Release", "sd_rpn.node");
      const symbols = execFileSync("nm", ["-D", "--undefined-only", addon], { encoding: "utf8" });
      report.check(/\bnapi_create_function\b/.test(symbols), "the list of symbols is not the addon's");
      none("function of the network", symbols.match(/\b(socket|connect|bind|listen|accept4?|getaddrinfo|gethostbyname|sendto|recvfrom)(?=@|$)/gm) ?? []);
      none("search path", execFileSync("readelf", ["-d", addon], { encoding: "utf8" }).match(/R(UN)?PATH.*/g) ?? []);
    },
  }),

  async "loading and answering opens no socket and starts no process"() {
    const seen = JSON.parse(run(`
      const seen = new Set();
      require("node:async_hooks").createHook({ init: (id, type) => seen.add(type) }).enable();
      ${ANSWER}
      process.on("exit", () => console.log(JSON.stringify([...seen])));`));
    report.check(seen.includes("PROMISE"), "the hook has seen nothing");
    none("socket and no process", seen.filter((type) => /TCP|UDP|PIPE|DNS|GETADDRINFO|HTTP|TLS|PROCESSWRAP|WORKER/.test(type)));
  },

  async "SVG and PDF are refused, whatever they are called"() {
    const model = await loadModel();
    for (const text of ['<svg xmlns="http://www.w3.org/2000/svg"><image href="file:///etc/passwd"/></svg>', "<?xml version='1.0'?><!DOCTYPE x [<!ENTITY e SYSTEM 'file:///etc/passwd'>]><svg>&e;</svg>", "%PDF-1.7\n"]) {
      const path = join(folder, "picture.png");
      writeFileSync(path, text);
      await refused(`a file of ${text}`, "IMAGE_INVALID", model.answer(path, question));
      await refused(`bytes of ${text}`, "IMAGE_INVALID", model.answer(Buffer.from(text), question));
    }
    await model.dispose();
  },

  async "limits of pixels, tokens and queue have codes"() {
    const model = await loadModel({ maxImagePixels: 100, maxQueue: 0 });
    await refused("too many pixels", "IMAGE_TOO_LARGE", model.answer(image, question));
    const small = { data: new Uint8Array(300), width: 10, height: 10, channels: 3 };
    await refused("too long a question", "CONTEXT_OVERFLOW", model.answer(small, "why ".repeat(10_000)));
    const settled = await Promise.allSettled(Array.from({ length: 12 }, () => model.predictRoI(small, question)));
    const codes = settled.map((result) => (result.status === "rejected" ? result.reason.code : "done"));
    report.check(codes.filter((code) => code === "done").length === 4 && codes.filter((code) => code === "QUEUE_FULL").length === 8, `expected 4 calls to run and 8 to end with QUEUE_FULL but received ${codes}`);
    report.check((await model.predictRoI(small, question)).map.data.length === 144, "no map after a full queue");
    await model.dispose();
  },

  async "a context that cannot fit is OUT_OF_MEMORY before anything is loaded"() {
    const start = performance.now();
    // the demo model in a file that claims to have been trained with a million tokens
    const key = "llama.context_length";
    const bytes = readFileSync(demoModel().model);
    bytes.writeUInt32LE(1 << 20, bytes.indexOf(key) + key.length + 4); // behind the value's type
    const model = join(folder, "trained-long.gguf");
    writeFileSync(model, bytes);
    await refused("32 contexts of a million tokens", "OUT_OF_MEMORY", loadModel({ ...demoModel(), model, contextSize: 1 << 20, parallel: 32 }), /takes at least \d+ MB but \d+ MB are free/);
    report.check(performance.now() - start < 5000, `it took ${Math.round(performance.now() - start)} ms to tell`);
  },

  async "paths with spaces, other scripts and great length are opened"() {
    const long = join(folder, ...Array.from({ length: 12 }, (_, i) => `${i}`.repeat(120)));
    mkdirSync(long, { recursive: true });
    for (const name of [" a b ", "Größe-图片-\u{1F600}", "x".repeat(240), "quote'\"$(date);&", "%s%n%p"]) {
      const files = Object.fromEntries(Object.keys(demoModel()).map((role) => [role, join(long, `${name}.${role}`.slice(-240))]));
      for (const [role, path] of Object.entries(demoModel())) copyFileSync(path, files[role]);
      const picture = join(long, `${name}.jpg`.slice(-240));
      copyFileSync(image, picture);
      const text = await loadModel(files).then(async (model) => {
        const answer = await model.answer(picture, question, { maxTokens: 2 });
        await model.dispose();
        return answer.text;
      }).catch((error) => error);
      report.check(typeof text === "string" && text !== "", `${name}: expected an answer but received ${text}`);
      rmSync(picture);
    }
  },

  async "paths that cannot be opened are refused"() {
    await refused("a name too long", "MODEL_NOT_FOUND", loadModel({ ...demoModel(), model: join(folder, "y".repeat(300)) }));
    await refused("a path too long", "MODEL_NOT_FOUND", loadModel({ ...demoModel(), rpn: "/" + "z/".repeat(4000) }));
    await refused("a model's path with NUL", "INVALID_ARGUMENT", loadModel({ ...demoModel(), model: `${demoModel().model}\0.gguf` }));
    await refused("a predictor's path with NUL", "INVALID_ARGUMENT", RoIPredictor.load(`${demoModel().rpn}\0`));
  },
};

async function main() {
  for (const [name, check] of Object.entries(CHECKS)) {
    if (!name.includes(options.only)) continue;
    report.try(name);
    const before = report.failures.length;
    await check().catch((error) => report.fail(`${error?.stack ?? error}`));
    for (let i = before; i < report.failures.length; i++) report.failures[i] = `${name}: ${report.failures[i]}`;
  }
  rmSync(folder, { recursive: true, force: true });
  report.end();
}

main();
