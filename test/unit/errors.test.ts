import { SdRpnError, abortError } from "../../src/base/errors";

test("an error carries its code, message and cause", () => {
  const cause = new Error("below");
  const error = new SdRpnError("IO_ERROR", "could not read", { cause });
  expect(error).toBeInstanceOf(Error);
  expect([error.name, error.code, error.message, error.cause]).toEqual(["SdRpnError", "IO_ERROR", "could not read", cause]);
});

test("an aborted call is an AbortError with the signal's reason as cause", () => {
  const reason = new Error("user left");
  const error = abortError(AbortSignal.abort(reason));
  expect([error.name, error.code, error.cause]).toEqual(["AbortError", "ABORTED", reason]);
});
