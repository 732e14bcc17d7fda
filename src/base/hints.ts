/** Every code that a {@link Hint} can carry. Codes are part of the public contract: they are never renamed. */
export const HINT_CODES = ["IMAGE_DARK", "VALUE_CUT", "VALUE_INVALID", "ONE_PICTURE_MODEL", "SMALL_PRINT"] as const satisfies readonly string[];

export type HintCode = (typeof HINT_CODES)[number];

/** Something about a call that is no error but makes a wrong answer likely; `message` says what to do about it. */
export interface Hint {
  code: HintCode;
  message: string;
}
