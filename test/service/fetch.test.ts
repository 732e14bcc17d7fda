// Which addresses of pictures are followed, and what becomes of servers that do not behave.
import { createServer, type RequestListener, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { isPublicAddress } from "../../src/server/picture/addresses";
import { fetchPicture, type FetchSettings } from "../../src/server/picture/fetch-picture";
import { pictureOfUrl } from "../../src/server/picture/picture-of-url";

const PRIVATE = [
  "127.0.0.1", "127.8.9.1", "0.0.0.0", "10.0.0.1", "172.16.0.1", "172.31.255.255", "192.168.1.1", "169.254.169.254", "100.64.0.1", "224.0.0.1", "255.255.255.255", "192.0.0.8", "198.18.0.1",
  "::1", "::", "fe80::1", "fc00::1", "fd12:3456::1", "ff02::1", "::ffff:127.0.0.1", "::ffff:8.8.8.8", "::7f00:1", "64:ff9b::7f00:1", "2002:7f00:1::", "2001::1", "2001:db8::1", "example.org", "",
];
const PUBLIC = ["8.8.8.8", "172.15.255.255", "172.32.0.1", "100.63.0.1", "193.0.0.1", "2606:4700::1111", "2a00:1450::1"];

test("addresses of the public internet, and all others", () => {
  expect(PRIVATE.filter(isPublicAddress)).toEqual([]);
  expect(PUBLIC.filter((address) => !isPublicAddress(address))).toEqual([]);
});

let server: Server;
let port: number;
let answer: RequestListener;
let asked: { host: string | undefined; url: string | undefined }[] = [];
beforeAll(async () => {
  server = createServer((request, response) => {
    asked.push({ host: request.headers.host, url: request.url });
    answer(request, response);
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  ({ port } = server.address() as AddressInfo);
});
afterAll(() => server.close());
beforeEach(() => (asked = []));

/** As if this machine were on the public internet, under a name that no resolver knows. */
const settings: FetchSettings = { hosts: ["pictures.invalid"], maxBytes: 1000, resolve: async () => [{ address: "127.0.0.1", family: 4 }], isAllowed: () => true };
const fetchIt = (path = "/a.png", more: Partial<FetchSettings> = {}, signal?: AbortSignal) => fetchPicture(new URL(`http://pictures.invalid:${port}${path}`), { ...settings, ...more }, signal);

test("the connection goes to the address that was checked, which is asked for once", async () => {
  answer = (_, response) => response.end(Buffer.from([1, 2, 3]));
  let resolved = 0;
  const resolve = async () => [{ address: resolved++ === 0 ? "127.0.0.1" : "192.0.2.1", family: 4 }];
  expect([...(await fetchIt("/a.png?b=1", { resolve }))]).toEqual([1, 2, 3]);
  expect([resolved, asked]).toEqual([1, [{ host: `pictures.invalid:${port}`, url: "/a.png?b=1" }]]);
});

test.each<[string, string, Partial<FetchSettings>]>([
  ["a host that was not allowed", "http://other.invalid/a.png", {}],
  ["its subdomain", "http://a.pictures.invalid/a.png", {}],
  ["no host allowed", "http://pictures.invalid/a.png", { hosts: [] }],
  ["a private address", "http://pictures.invalid/a.png", { isAllowed: isPublicAddress }],
  ["one private address among public ones", "http://pictures.invalid/a.png", { isAllowed: isPublicAddress, resolve: async () => [{ address: "8.8.8.8", family: 4 }, { address: "::1", family: 6 }] }],
  ["no address", "http://pictures.invalid/a.png", { resolve: async () => [] }],
  ["this machine by its number", "http://127.0.0.1/a.png", { hosts: ["127.0.0.1"], isAllowed: isPublicAddress }],
  ["this machine in one number", "http://2130706433/a.png", { hosts: ["127.0.0.1"], isAllowed: isPublicAddress }],
  ["this machine in IPv6", "http://[::1]/a.png", { hosts: ["[::1]"], isAllowed: isPublicAddress }],
  ["a user", "http://me:secret@pictures.invalid/a.png", {}],
])("refused before anything is sent: %s", async (_, url, more) => {
  await expect(fetchPicture(new URL(url), { ...settings, ...more })).rejects.toMatchObject({ code: "INVALID_ARGUMENT" });
  expect(asked).toEqual([]);
});

test("redirects, errors, too much, cut and silent servers", async () => {
  answer = (_, response) => response.writeHead(302, { location: "http://169.254.169.254/" }).end();
  await expect(fetchIt()).rejects.toMatchObject({ code: "DOWNLOAD_FAILED", message: expect.stringContaining("redirected") });
  answer = (_, response) => response.writeHead(404).end("no");
  await expect(fetchIt()).rejects.toMatchObject({ code: "DOWNLOAD_FAILED", message: expect.stringContaining("404") });
  answer = (_, response) => response.end(Buffer.alloc(1001));
  await expect(fetchIt()).rejects.toMatchObject({ code: "IMAGE_TOO_LARGE" });
  answer = (_, response) => {
    response.writeHead(200, { "content-length": "100" });
    response.write("ten bytes.", () => response.destroy());
  };
  await expect(fetchIt()).rejects.toMatchObject({ code: "DOWNLOAD_FAILED" });
  answer = () => {};
  await expect(fetchIt("/", {}, AbortSignal.timeout(100))).rejects.toMatchObject({ code: "ABORTED" });
  await expect(fetchPicture(new URL("http://pictures.invalid:1/"), settings)).rejects.toMatchObject({ code: "DOWNLOAD_FAILED" });
  expect(asked.length).toBe(5);
});

test("file: below the media path only, links resolved", async () => {
  const folder = mkdtempSync(join(tmpdir(), "sd-rpn-media-"));
  try {
    const [media, inside, outside] = [join(folder, "media"), join(folder, "media", "a b.png"), join(folder, "media-secret.png")];
    mkdirSync(media);
    [inside, outside].forEach((file) => writeFileSync(file, "x"));
    symlinkSync(outside, join(media, "link.png"));
    symlinkSync(folder, join(media, "up"));
    const of = (file: string, mediaPath: string | undefined = media) => pictureOfUrl(pathToFileURL(file).href, { ...settings, mediaPath });
    expect(await of(inside)).toMatch(/media\/a b\.png$/);
    expect(await pictureOfUrl(`FILE://${inside.replaceAll(" ", "%20")}`, { ...settings, mediaPath: media })).toMatch(/a b\.png$/);
    for (const file of [outside, join(media, "link.png"), join(media, "up", "media-secret.png"), media, "/etc/passwd", join(media, "gone.png")]) {
      await expect(of(file)).rejects.toMatchObject({ code: "IMAGE_INVALID", message: "There is no picture of this file: URL below the service's media path" });
    }
    await expect(pictureOfUrl(`file://${media}/../media-secret.png`, { ...settings, mediaPath: media })).rejects.toMatchObject({ code: "IMAGE_INVALID" });
    await expect(pictureOfUrl(`file://${media}/%2e%2e%2fmedia-secret.png`, { ...settings, mediaPath: media })).rejects.toMatchObject({ code: "IMAGE_INVALID" });
    await expect(pictureOfUrl(`file://server/${inside}`, { ...settings, mediaPath: media })).rejects.toMatchObject({ code: "IMAGE_INVALID" });
  } finally {
    rmSync(folder, { recursive: true });
  }
});
