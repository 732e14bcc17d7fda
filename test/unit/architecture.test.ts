import { existsSync, readdirSync, readFileSync } from "node:fs";
import { dirname, join, relative, resolve } from "node:path";

const ROOT = resolve(__dirname, "../..");
const page = readFileSync(join(ROOT, "docs/architecture.md"), "utf8");
const drawing = readFileSync(join(ROOT, "docs/images/architecture.svg"), "utf8");

/** Rooms with what they may import, as the page's table has them. */
const rooms = new Map(
  [...page.matchAll(/^\| `src\/([a-z]+)` \|[^|]*\|([^|]*)\|$/gm)].map(([, room, allowed]) => [room, allowed.trim() === "" ? [] : allowed.split(",").map((name) => name.trim())]),
);

function filesUnder(folder: string, pattern: RegExp): string[] {
  return readdirSync(join(ROOT, folder), { recursive: true, encoding: "utf8" })
    .filter((name) => pattern.test(name))
    .map((name) => join(ROOT, folder, name));
}

/** Import directions between rooms: "file imports room". */
function importsOf(file: string): string[] {
  const specifiers = [...readFileSync(file, "utf8").matchAll(/(?:from|import\() ?"(\.[^"]+)"/g)].map(([, specifier]) => specifier);
  return specifiers.map((specifier) => relative(join(ROOT, "src"), resolve(dirname(file), specifier)).split(/[/\\]/)[0]);
}

test("the table has every folder of src, and nothing but the public names lies beside them", () => {
  const entries = readdirSync(join(ROOT, "src"), { withFileTypes: true });
  expect(entries.filter((entry) => entry.isDirectory()).map(({ name }) => name).sort()).toEqual([...rooms.keys()].sort());
  expect(entries.filter((entry) => entry.isFile()).map(({ name }) => name).sort()).toEqual(["index.mts", "index.ts"]);
});

test("each row names rooms above it only, so that there is no circle", () => {
  const above = new Set<string>();
  for (const [room, allowed] of rooms) {
    expect([room, allowed.filter((name) => !above.has(name))]).toEqual([room, []]);
    above.add(room);
  }
});

test.each([...rooms])("src/%s imports what its row allows, and no row allows more than is used", (room, allowed) => {
  const used = new Map<string, string>();
  for (const file of filesUnder(`src/${room}`, /\.m?ts$/)) {
    for (const other of importsOf(file)) {
      if (other !== room) used.set(other, relative(ROOT, file));
    }
  }
  expect([...used].filter(([other]) => !allowed.includes(other))).toEqual([]);
  expect(allowed.filter((other) => !used.has(other))).toEqual([]);
});

test("the core includes nothing of Node, and mtmd for the vision tower and its log only", () => {
  const files = filesUnder("native/core", /\.(cpp|h|cu)$/);
  expect(files.length).toBeGreaterThan(20);
  const including = (header: RegExp): string[] => files.filter((file) => header.test(readFileSync(file, "utf8"))).map((file) => relative(ROOT, file)).sort();
  expect(including(/#include ["<](napi|node_api|js_native_api|uv)\.h[">]/)).toEqual([]);
  expect(including(/#include ["<]mtmd(-[a-z]+)?\.h[">]/)).toEqual(["native/core/log.cpp", "native/core/vision.cpp"]);
});

test("every path that the page and its drawing name is there", () => {
  const paths = [...`${page}\n${drawing}`.matchAll(/\b(?:src|native|test|docs)\/[\w./-]*\w/g)].map(([path]) => path);
  expect(paths.length).toBeGreaterThan(40);
  expect(paths.filter((path) => !existsSync(join(ROOT, path)))).toEqual([]);
});

test("things that a stranger asks for have a file each", () => {
  const rows = [...page.slice(page.indexOf("## Where is")).matchAll(/^\| ([^|]+) \| (`[^|]+) \|$/gm)];
  expect(rows.length).toBeGreaterThanOrEqual(20);
});
