const MOST = 60;
const RESERVED = /^(con|prn|aux|nul|com\d|lpt\d)(\.|$)/i; // Windows has devices of these names in every folder

/**
 * A file name for each id: letters, digits, dots, dashes and underscores stay, anything else becomes an underscore. Of ids with the same
 * name, be it but for upper and lower case, the later ones get a number; adding ids at the end renames none.
 */
export function overlayNames(ids: readonly string[]): Map<string, string> {
  const taken = new Set<string>();
  return new Map(
    ids.map((id) => {
      const safe = nameOf(id);
      let name = safe;
      for (let n = 2; taken.has(name.toLowerCase()); n++) {
        name = `${safe}-${n}`;
      }
      taken.add(name.toLowerCase());
      return [id, `${name}.png`];
    }),
  );
}

function nameOf(id: string): string {
  const cleaned = id.normalize("NFC").replaceAll(/[^\p{L}\p{N}._-]+/gu, "_").replace(/^\./, "_");
  const short = [...cleaned].slice(0, MOST).join("");
  return RESERVED.test(short) ? `_${short}` : short;
}
