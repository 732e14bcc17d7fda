import sdRpn = require("sd-rpn");

const error: Error = new sdRpn.SdRpnError("ABORTED", "stopped", { cause: 1 });
export const code: sdRpn.ErrorCode = (error as sdRpn.SdRpnError).code;
export const box: sdRpn.Box = { x: 0, y: 0, width: 1, height: 1 };

// @ts-expect-error codes are a closed set
new sdRpn.SdRpnError("NO_SUCH_CODE", "");
