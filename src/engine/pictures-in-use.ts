import { orAborted } from "../base/abort.js";
import type { Engine } from "./engine.js";
import { isSeveral, OpenedPictures, type PictureInUse, type PicturesInUse, type Subject } from "./opened-picture.js";
import type { Preamble, Setting } from "./preamble.js";

/**
 * The pictures of a call, each with its own session, and the session in which the question is asked: that of the one picture, or one of all.
 *
 * @param all what stands before and between all of them
 */
export async function usePictures(engine: Engine, subject: Subject, signal: AbortSignal | undefined, setting: Setting, all: Preamble): Promise<PicturesInUse> {
  if (!isSeveral(subject)) {
    const { picture, decodeMs, visionMs, release } = await engine.usePicture(subject, signal, setting);
    return { pictures: [picture], session: picture.session, decodeMs, visionMs, release: (_, bytes) => release(bytes) };
  }
  engine.checkUsable(subject);
  if (subject instanceof OpenedPictures) {
    return { pictures: subject.pictures, session: subject.session, decodeMs: 0, visionMs: 0, release: () => {} };
  }
  const used: PictureInUse[] = [];
  try {
    for (const image of subject) {
      used.push(await engine.usePicture(image, signal, setting));
    }
    const pictures = used.map(({ picture }) => picture);
    const key = `list ${used.map((each) => each.key).join("|")}`; // what stands between them follows from their number
    const joining = engine.cache.get(key, () => engine.joinSessions(pictures.map(({ session }) => session), all));
    const joined = await orAborted(joining, signal).catch((error: unknown) => {
      joining.then(({ release }) => release(0)).catch(() => {});
      throw error;
    });
    const sum = (of: "decodeMs" | "visionMs"): number => used.reduce((total, each) => total + each[of], 0);
    const release = (each: readonly number[], bytes: number): void => {
      used.forEach((picture, index) => picture.release(each[index] ?? 0));
      joined.release(bytes);
    };
    return { pictures, session: joined.session, decodeMs: sum("decodeMs"), visionMs: sum("visionMs"), release };
  } catch (error) {
    used.forEach((picture) => picture.release(0));
    throw error;
  }
}
