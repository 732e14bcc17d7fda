import type { BatchLine } from "./options.js";

/** The columns of a table of answers, and what they hold of a line. The first one is the id. */
const COLUMNS: Readonly<Record<string, (line: BatchLine) => unknown>> = {
  id: ({ id }) => id,
  image: ({ image }) => image,
  question: ({ question }) => question,
  text: ({ answer }) => answer?.text,
  confidence: ({ answer }) => answer?.confidence,
  value: ({ answer }) => (answer?.value === undefined ? undefined : JSON.stringify(answer.value)),
  finishReason: ({ answer }) => answer?.finishReason,
  usedRoI: ({ answer }) => answer?.usedRoI,
  // of the region that was read, in pixels of the picture
  x: (line) => cropOf(line)?.x,
  y: (line) => cropOf(line)?.y,
  width: (line) => cropOf(line)?.width,
  height: (line) => cropOf(line)?.height,
  hints: ({ answer }) => answer?.hints.map(({ code }) => code).join(" "),
  promptTokens: ({ answer }) => answer?.usage.promptTokens,
  completionTokens: ({ answer }) => answer?.usage.completionTokens,
  ms: ({ answer }) => answer?.timings.total.toFixed(1),
  error: ({ error }) => error?.code,
  message: ({ error }) => error?.message,
};

export const TABLE_COLUMNS = Object.keys(COLUMNS);

/** What is not there is an empty field. */
export function tableRow(line: BatchLine): string[] {
  return Object.values(COLUMNS).map((read) => String((read(line) as string | undefined) ?? ""));
}

function cropOf({ answer }: BatchLine) {
  return answer?.roi?.region.crop;
}
