import type { TakenPicture } from "../image/taken-picture.js";
import type { NativeView } from "../native/binding.js";
import type { Engine } from "./engine.js";
import { OpenedPicture, OpenedPictures } from "./opened-picture.js";
import type { Setting } from "./preamble.js";
import type { SessionHandle } from "./session-cache.js";

interface Opened {
  opened: OpenedPicture | OpenedPictures;
  /** of an image that is no list */
  view: NativeView | null;
}

/** Opens an image or a list of them outside of the cache, to be dropped by {@link dropOpened}. */
export async function openSubject(engine: Engine, taken: TakenPicture | TakenPicture[], setting: Setting, closing: AbortSignal, signal?: AbortSignal): Promise<Opened> {
  if (!Array.isArray(taken)) {
    return openOne(engine, taken, setting, closing, signal);
  }
  const all = await engine.preambleOfAll(setting.preamble, taken.length, setting.views, signal);
  const pictures: OpenedPicture[] = [];
  try {
    for (const each of taken) {
      pictures.push((await openOne(engine, each, setting, closing, signal)).opened);
    }
    const sessions = pictures.map(({ session }) => session);
    return { opened: new OpenedPictures(pictures, await engine.joinSessions(sessions, all, signal), closing), view: null };
  } catch (error) {
    pictures.forEach(({ session }) => engine.dropSession(session.id));
    throw error;
  }
}

async function openOne(engine: Engine, taken: TakenPicture, { views, preamble }: Setting, closing: AbortSignal, signal?: AbortSignal): Promise<{ opened: OpenedPicture; view: NativeView }> {
  const { picture, layout, view } = await engine.read(taken, signal, views);
  const handle = await engine.openSession(view, signal, preamble);
  return { opened: new OpenedPicture(picture, layout, views, handle, closing), view };
}

export function dropOpened(engine: Engine, opened: OpenedPicture | OpenedPictures): void {
  const sessions: SessionHandle[] = opened instanceof OpenedPictures ? [opened.session, ...opened.pictures.map(({ session }) => session)] : [opened.session];
  sessions.forEach(({ id }) => engine.dropSession(id));
}
