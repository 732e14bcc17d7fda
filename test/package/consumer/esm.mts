import { type Box, type ErrorCode, SdRpnError } from "sd-rpn";
import * as everything from "sd-rpn";

const error: Error = new SdRpnError("ABORTED", "stopped", { cause: 1 });
export const code: ErrorCode = (error as SdRpnError).code;
export const box: Box = { x: 0, y: 0, width: 1, height: 1 };

// @ts-expect-error codes are a closed set
new SdRpnError("NO_SUCH_CODE", "");

// @ts-expect-error there is no default export
everything.default;
