/** The wording that tells what a letter in a text is there for; the rules are listed at `statedChoice`. */

/** statement: "the answer is B"; mention: "(B)"; negated: "not B"; none: "Vitamin B" */
export type Role = "statement" | "mention" | "negated" | "none";

export interface StandingLetter {
  /** in upper case */
  letter: string;
  /** in brackets, or in quotes or emphasis of its own */
  isMarked: boolean;
  isLower: boolean;
  /** see Naming in stated-choice.ts */
  label: string;
  start: number;
  end: number;
  /** what stands around it, so far as it matters; the text's beginning counts as the end of a line */
  before: string;
  after: string;
}

/** How far to look around a letter. */
const CONTEXT = 100;

/** Without Markdown, tags and typographic variants; a letter that is emphasised or quoted by itself is put in brackets, a boxed one becomes an answer. */
export function plain(text: string): string {
  return text
    .normalize("NFKC")
    .replace(/[’‘]/g, "'")
    .replace(/<\/?\p{L}{1,12}>/gu, " ")
    .replace(/\\boxed\s?\{\W{0,3}(?:\\text\w{0,4}\s?\{\W{0,3})?(\p{L})\b[^}\n]{0,80}\}{1,2}/gu, " answer: $1. ")
    .replace(/(?<![\p{L}\p{N}])(\*{1,3}|__?|`|"|“|«|')\s?(\p{L})([.:)]?)\s?(?:\1|[”»])(?![\p{L}\p{N}])/gu, "($2)$3")
    .replace(/^\s*>|[*_`#~$"“”«»]/gm, "");
}

/** Letters of scripts without spaces between words may stand beside an option's letter. */
const WORD = String.raw`(?:(?![\p{Script=Han}\p{Script=Hiragana}\p{Script=Katakana}])[\p{L}\p{M}\p{N}])`;
const ALONE = new RegExp(String.raw`(?<!${WORD}['-]?|[°&]|(?<!${WORD})\p{L}\.)[A-Za-z](?!${WORD}|['-]${WORD}|[+#%°&]|\.\p{L}(?!${WORD}))`, "gu");

/** Words that follow an option's letter and no article or pronoun. */
const AFTER_A =
  /^(?:is|isn't|was|wasn't|would|could|can|cannot|can't|must|should|seems|looks|appears|fits|matches|shows|has|does|doesn't|because|since|as|and|or|but|not|nor|over|rather|for|vs|versus|est|ist|es|et|ou|und|oder)(?!\p{L})/iu;
const AFTER_I = /^(?:is|isn't|because|fits|matches|(?:and|or) \(?[A-Z](?!\p{L}))(?!\p{L})/u;
const NAMED = /(?:option|choice|letter|answer|réponse|respuesta|antwort|选项|選項)\s?$/iu;

/** The letters that stand alone and are no article or pronoun, in the text's order. */
export function standingLetters(text: string): StandingLetter[] {
  return [...text.matchAll(ALONE)].flatMap(({ 0: found, index }) => {
    const [open = ""] = /[([{] ?$/.exec(text.slice(Math.max(0, index - 2), index)) ?? [];
    const [close = ""] = /^[.:]? ?[)\]}]/.exec(text.slice(index + 1, index + 4)) ?? [];
    const isMarked = open !== "" && close !== "";
    const start = isMarked ? index - open.length : index;
    const end = index + 1 + (isMarked ? close.length : 0);
    const before = (start < CONTEXT ? "\n" : "") + text.slice(Math.max(0, start - CONTEXT), start);
    const after = text.slice(end, end + CONTEXT);

    const letter = found.toUpperCase();
    const nextWord = /^[ \t]+(\p{L}.*)/u.exec(after)?.[1];
    const isWord = nextWord !== undefined && ((letter === "A" && !AFTER_A.test(nextWord)) || (letter === "I" && !AFTER_I.test(nextWord)));
    if (isWord && !isMarked && !NAMED.test(before)) {
      return [];
    }
    const mark = /^\s*[.):]/.exec(after)?.[0] ?? (/\n\s*$/.test(before) && /^\s*(?:\n|$)/.test(after) ? "line" : "");
    return [{ letter, isMarked, isLower: !isMarked && found !== letter, label: isMarked ? "()" : mark.trim(), start, end, before, after }];
  });
}

const JOINT = /^[.\s]*(?:[,/&+]|,?\s*(?:and|or|nor|to|through|vs\.?|versus|et|ou|und|oder)\b)(?:\s*(?:also|even|maybe|perhaps|possibly|option|choice|letter|answer))*\s*$/iu;
/** These join clauses as well: "B is right, A is too small". */
const JOINT_OF_CLAUSES = /^[.\s]*(?:,|,?\s*and)\b\s*(?:option|choice|letter|answer)?\s*$/iu;
const SINGULAR_VERB = /^\s*(?:is|isn't|was|wasn't|seems|looks|appears|shows|has|fits|matches|does|doesn't)\b/i;

/** Whether two letters with `between` between them are named together. */
export function joinsOptions(between: string, after: string): boolean {
  return JOINT.test(between) && !(JOINT_OF_CLAUSES.test(between) && SINGULAR_VERB.test(after));
}

/** Words that change nothing between "is", "not" and the like and a letter. */
const FILLER = "the|la|le|my|option|choice|letter|answer|number|correct|right|best|final|i|think|believe|say|that|it|is|be|it's|most|likely|probably|possibly|definitely|clearly|certainly|surely|obviously|simply|actually|really|necessarily|therefore|thus|then|still|just|now|either|both|only";
const FILLING = String.raw`(?:[\s,:=-]|(?:${FILLER})\b)*$`;
const CUE = String.raw`\b(?:answers?|ans|choice|option|letter|réponse|respuesta|resposta|risposta|antwort)\b\.?|答案|选项|選項`;
const BE = String.raw`\b(?:is|be|was|est|ist|es)\b|'s\b|(?<!\p{L})è(?!\p{L})|是|为|為`;
const CHOOSE = String.raw`\b(?:choose|chose|chosen|pick|picked|select|selected|say|guess|think|thought|believe|prefer|vote(?: for)?|answer with|go(?:ing)? (?:with|for)|settle on|lean(?:ing)? towards?)\b|选|選`;
const CONCLUDE = String.raw`\b(?:so|therefore|thus|hence|consequently|definitely|probably|clearly|certainly|surely|obviously|likely)\b|[=-]>|→`;

const NEGATION_BEFORE = new RegExp(String.raw`(?:\b(?:not|cannot|never|neither|nor|rather than|instead of|other than|over|except(?: for)?|rules? out|ruled out|eliminated?|excluded?|pas|nicht)\b|n't\b)(?:\s|(?:${FILLER})\b)*$`, "iu");
const NEGATION_AFTER =
  /^\s*(?:(?:is|are|was|were|do|does|can|could|would|will|should|must)(?:n't|\s+(?:\w+ly\s+)?not)\b|can't\b|cannot\b|won't\b|(?:(?:is|are|was|were|seems?|looks?|appears?|must be|would be|can be)\s+)(?:(?:both|also|all|\w+ly)\s+)*(?:wrong|incorrect|false|impossible|out|ruled out|eliminated|excluded|unlikely)\b)/i;
const HEDGE_BEFORE = new RegExp(String.raw`\b(?:could|might|may)\b(?:\s+(?:also|possibly|perhaps|well))*\s+be\b${FILLING}`, "iu");
const STATEMENT_BEFORE = new RegExp(String.raw`(?:(?:${CUE})\s*[:=→-]|${BE}|${CHOOSE}|${CONCLUDE})${FILLING}`, "iu");
const STATEMENT_AFTER =
  /^\s*(?:it is\b|is\s*[.!]|(?:is|was|seems|looks|appears|must be|would be|should be|est|ist|es)\s+(?:(?:to|be|the|my|a|more|most|much|\w+ly)\s+)*(?:correct|right|true|best|better|closest|closer|answer|choice|one|accurate|likely|match|option)\b)/i;
const QUESTION_BEFORE = /(?:^|[.!?\n:;,-])\s*(?:and|but|so)?\s*(?:is|are|was|could|can|would|should|does|do|did|might|may|which|what|why|how)\b[^.!?\n]*$/i;
const CLAUSE_START = /[.,;:!?\n([–—-]\s*(?:(?:no|yes|okay|ok|well|sure|actually|wait|hmm|maybe|perhaps|possibly)\b[\s,]*)?$|\b(?:but|and|while|whereas|rather|matches|match|fits|supports|to be|labell?ed|marked|corresponds? to|points? to)\s*$/i;
const CLAUSE_END = /^\s*(?:$|[.,;:!?)\]\n–—-])/;

export function roleOf(letter: StandingLetter): Role {
  const { before, after, isMarked, isLower } = letter;
  if (NEGATION_BEFORE.test(before) || NEGATION_AFTER.test(after)) {
    return "negated";
  }
  if (/^\s*\?\s*\S/.test(after) || (/^[^.!\n]*\?/.test(after) && QUESTION_BEFORE.test(before))) {
    return "none";
  }
  if (!HEDGE_BEFORE.test(before) && (isWorded(letter) || isOpening(letter) || isLine(letter))) {
    return "statement";
  }
  const isNamed = isMarked || NAMED.test(before) || HEDGE_BEFORE.test(before);
  const isClause = !isLower && CLAUSE_START.test(before) && (CLAUSE_END.test(after) || AFTER_A.test(after.trimStart()));
  return isNamed || isClause ? "mention" : "none";
}

/** A statement by its words, not by its place. */
export function isWorded({ before, after }: StandingLetter): boolean {
  return STATEMENT_BEFORE.test(before) || STATEMENT_AFTER.test(after);
}

/** At the beginning of the whole text, unless it is the subject of a sentence that describes it. */
function isOpening({ before, after, isLower }: StandingLetter): boolean {
  return /^\n[\s(['-]*$/.test(before) && (isLower ? CLAUSE_END.test(after) : !SINGULAR_VERB.test(after));
}

function isLine({ before, after }: StandingLetter): boolean {
  return /\n[ \t]*$/.test(before) && /^[.):!]*[ \t]*(?:\n|$)/.test(after);
}
