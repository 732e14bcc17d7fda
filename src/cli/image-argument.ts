import { buffer } from "node:stream/consumers";
import { withIoError } from "./exit.js";

/** For `--help`. */
export const IMAGE_HELP = 'path of the picture, or "-" for standard input';

/** The picture that an argument names: a path, or the bytes of standard input, which can be read but once. */
export async function imageOf(argument: string): Promise<string | Uint8Array> {
  return argument === "-" ? withIoError("read standard input", () => buffer(process.stdin)) : argument;
}
