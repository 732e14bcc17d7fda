import type { Hint } from "../../base/hints.js";
import type { NativeAnswer } from "../../native/binding.js";
import type { Form } from "./json-form.js";

/** The value of an answer in a form; null, with a hint, where there is none. */
export async function readForm(form: Form | undefined, { text, finishReason }: Pick<NativeAnswer, "text" | "finishReason">): Promise<{ value: unknown; hints: Hint[] }> {
  if (!form || finishReason === "aborted") {
    return { value: null, hints: [] };
  }
  if (finishReason === "length") {
    return { value: null, hints: [{ code: "VALUE_CUT", message: "The answer ended before its JSON did: raise maxTokens, or shorten texts and lists in the schema" }] };
  }
  const read = await form.read(text);
  if ("value" in read) {
    return { value: read.value, hints: [] };
  }
  const message = `The answer is not what its schema asks for beyond its grammar, ${read.problem}: take it from the text, or ask again`;
  return { value: null, hints: [{ code: "VALUE_INVALID", message }] };
}
