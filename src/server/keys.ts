import { createHmac, randomBytes, timingSafeEqual } from "node:crypto";
import { readTextFile } from "../base/regular-file.js";
import { SdRpnError } from "../base/errors.js";
import { ServiceError } from "./http-error.js";

/** Whether a client may ask. */
export type CheckKey = (authorization: string | undefined) => void;

/**
 * A check of the header Authorization against the keys that the service knows. All are compared, as digests of one length and in a
 * time that does not depend on where they differ.
 *
 * @returns a function that throws {@link ServiceError} 401; one that never throws where there are no keys
 */
export function keyCheck(keys: readonly string[]): CheckKey {
  if (keys.length === 0) {
    return () => {};
  }
  const secret = randomBytes(32);
  const digest = (key: string): Buffer => createHmac("sha256", secret).update(key).digest();
  const known = keys.map(digest);
  return (authorization) => {
    const given = /^Bearer +(\S+) *$/i.exec(authorization ?? "")?.[1];
    const hash = digest(given ?? "");
    const fits = known.reduce((some, key) => timingSafeEqual(key, hash) || some, false);
    if (given === undefined || !fits) {
      throw new ServiceError(401, "UNAUTHORIZED", given === undefined ? "Expected an API key in the header Authorization: Bearer KEY" : "The API key is not known to this service");
    }
  };
}

/**
 * The keys of a file, one a line, and of the environment, with commas between them. Empty lines and those that begin with # are none.
 *
 * @throws {SdRpnError} IO_ERROR, INVALID_ARGUMENT for a file without keys or a key with white space
 */
export async function readKeys(file: string | undefined, ofEnvironment: string | undefined): Promise<string[]> {
  const inFile = file === undefined ? [] : (await readFile(file)).split(/\r?\n/).map((line) => line.trim()).filter((line) => line !== "" && !line.startsWith("#"));
  if (file !== undefined && inFile.length === 0) {
    throw new SdRpnError("INVALID_ARGUMENT", `Expected at least one key in ${file}, one a line`);
  }
  const keys = [...inFile, ...(ofEnvironment ?? "").split(",").map((key) => key.trim()).filter((key) => key !== "")];
  if (keys.some((key) => /\s/.test(key))) {
    throw new SdRpnError("INVALID_ARGUMENT", "Expected API keys without white space");
  }
  return [...new Set(keys)];
}

async function readFile(file: string): Promise<string> {
  try {
    return await readTextFile(file);
  } catch (error) {
    throw new SdRpnError("IO_ERROR", `Cannot read the file of API keys: ${(error as Error).message}`, { cause: error });
  }
}
