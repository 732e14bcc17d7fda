// How a reader of files could break what the fuzz suite promises; `make` gets a function that opens a damaged file, and gives
// another for the file of seed 2.
module.exports = {
  "a reader crashes": { make: () => () => process.kill(process.pid, "SIGSEGV"), says: [/seed \d+ .*signal SIGSEGV/] },
  "a reader ends the process": { make: () => () => process.exit(0), says: [/seed \d+ .*code 0, signal null/] },
  "a reader hangs": { args: ["--seconds", "3"], make: () => () => new Promise(() => setInterval(() => {}, 1000)), says: [/seed \d+ .*more than \d+ s/] },
  "a reader blocks its thread": { args: ["--seconds", "3"], make: () => () => { for (;;); }, says: [/seed \d+ .*more than \d+ s/] },
  "an error has no type": { make: () => () => { throw new RangeError("invalid typed array length"); }, says: [/untyped: RangeError/] },
  "an error is INTERNAL": { make: (open, lib) => () => { throw new lib.SdRpnError("INTERNAL", "std::bad_alloc"); }, says: [/untyped: .*bad_alloc/] },
  "a reader takes memory": { args: ["--megabytes", "300"], make: (open) => async () => (Buffer.alloc(250e6, 1), open()), says: [/seed \d+ .*: \d+ MB/] },
  "a process crashes at its end": { make: (open) => async () => (process.on("exit", () => process.kill(process.pid, "SIGSEGV")), open()), says: [/between files.*signal SIGSEGV/] },
  "good files are refused too": { good: true, make: (open, lib) => () => { throw new lib.SdRpnError("MODEL_INVALID", "Expected GGUF"); }, says: [/without damage: MODEL_INVALID/] },
  "damaged files are not read": { every: true, make: () => () => {}, says: [/no damaged file was refused/] },
};
