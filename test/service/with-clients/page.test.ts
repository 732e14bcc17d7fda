// The page in Chromium, which is at CHROMIUM or /usr/bin/chromium: `npm run test:clients -- page`.
// SD_RPN_SCREENSHOTS names a folder to write what each state looks like to.
import { readFileSync } from "node:fs";
import { createServer, request, type Server } from "node:http";
import { createRequire } from "node:module";
import type { AddressInfo } from "node:net";
import { join } from "node:path";
import sharp from "sharp";
import { first, type Parsed, type Served, startService } from "../serve";

const FOLDER = join(__dirname, "..", "clients");
const CHROMIUM = process.env.CHROMIUM ?? "/usr/bin/chromium";
const SHOTS = process.env.SD_RPN_SCREENSHOTS;
const requireClient = createRequire(join(FOLDER, "package.json"));

let service: Served;
let browser: Parsed;
let page: Parsed;
/** Requests to anywhere, and what the page complained about. */
let urls: string[];
let complaints: string[];

beforeAll(async () => {
  service = await startService();
  browser = await requireClient("playwright-core").chromium.launch({ executablePath: CHROMIUM, args: ["--no-sandbox"] });
});
afterAll(async () => {
  await browser?.close();
  await service?.end();
});

async function open(url = service.url, options: object = {}): Promise<void> {
  const context = await browser.newContext({ viewport: { width: 1200, height: 800 }, permissions: ["clipboard-read", "clipboard-write"], reducedMotion: "reduce", ...options });
  page = await context.newPage();
  [urls, complaints] = [[], []];
  page.on("request", (sent: Parsed) => urls.push(sent.url()));
  page.on("pageerror", (error: Error) => complaints.push(error.message));
  page.on("console", (message: Parsed) => message.type() === "error" && complaints.push(message.text()));
  await page.goto(url);
}
const closing: (() => void)[] = [];
afterEach(async () => {
  closing.splice(0).forEach((close) => close());
  await page?.context().close();
});

const text = (selector: string): Promise<string> => page.locator(selector).innerText();
const shot = async (name: string, options: object = {}): Promise<void> => {
  if (SHOTS) await page.screenshot({ path: join(SHOTS, `${name}.png`), ...options });
};
/** Waits in this process: the page's policy does not let it evaluate texts. */
const wait = async (condition: string): Promise<void> => {
  while (!(await page.evaluate(`Boolean(${condition})`))) await new Promise((resolve) => setTimeout(resolve, 20));
};
const ask = async (question: string): Promise<void> => {
  await page.fill("#question", question);
  await page.click("#ask");
  await wait('!document.querySelector("#ask").disabled && (document.querySelector(".facts")?.textContent || document.querySelector("#error").textContent)');
};
/** What axe finds wrong, in words. */
async function axe(): Promise<string[]> {
  await page.evaluate(readFileSync(requireClient.resolve("axe-core/axe.min.js"), "utf8"));
  const { violations } = await page.evaluate("axe.run()");
  return violations.map(({ id, nodes }: Parsed) => `${id}: ${nodes.map(({ html }: Parsed) => html.slice(0, 100)).join("; ")}`);
}
/** How much heat is drawn, 0..255, in a part of the picture. */
const heat = (left: number, top: number, right: number, bottom: number): Promise<number> =>
  page.evaluate(`(() => {
    const canvas = document.querySelector("#heat");
    const [x, y] = [${left} * canvas.width, ${top} * canvas.height];
    const { data } = canvas.getContext("2d").getImageData(x, y, ${right - left} * canvas.width, ${bottom - top} * canvas.height);
    return data.reduce((most, value, index) => (index % 4 === 3 ? Math.max(most, value) : most), 0);
  })()`);

test("a picture is uploaded and asked about: heat, box, crop, answer, phases; again it is faster", async () => {
  await open();
  await shot("page-empty");
  await page.setInputFiles("#file", first.image);
  await ask(first.question);
  expect(await text(".text")).toBe(first.answer);
  const box = await page.locator(".box").boundingBox();
  const image = await page.locator("#picture").boundingBox();
  // the box of the demo's answer lies in it
  const [left, top] = [(box.x - image.x) / image.width, (box.y - image.y) / image.height];
  const [x0, y0, x1, y1] = first.box.map((value) => value / 1008);
  expect(left).toBeLessThanOrEqual((x0 + x1) / 2);
  expect(top).toBeLessThanOrEqual((y0 + y1) / 2);
  expect(left + box.width / image.width).toBeGreaterThanOrEqual((x0 + x1) / 2);
  expect(top + box.height / image.height).toBeGreaterThanOrEqual((y0 + y1) / 2);
  expect(await heat(x0, y0, x1, y1)).toBeGreaterThan(100);
  expect(await page.evaluate('document.querySelector("figure canvas").width')).toBeGreaterThan(100);
  const facts = await text(".facts");
  expect(facts).toMatch(/^\d+ ms · \d+ % sure · 0 of \d+ tokens reused/);
  expect(await page.getAttribute(".phases", "aria-label")).toMatch(/see \d+ ms, .*write \d+ ms/);
  await shot("page-answer");
  await page.click(".json");
  expect(JSON.parse(await page.evaluate("navigator.clipboard.readText()"))).toMatchObject({ question: first.question, text: first.answer });
  await page.click(".curl");
  expect(await page.evaluate("navigator.clipboard.readText()")).toMatch(/^curl -s 'http:[^]+data:image\/jpeg;base64/);
  const vision = async (): Promise<number> => Number(/see (\d+) ms/.exec(await page.getAttribute(".phases", "aria-label"))![1]);
  expect(await vision()).toBeGreaterThan(0);
  const before = await vision();
  await ask("What shape is red?");
  expect(Number(/(\d+) of \d+ tokens reused/.exec(await text(".facts"))![1])).toBeGreaterThan(100);
  expect(await vision()).toBeLessThanOrEqual(before);
  expect(await page.locator("#history li").count()).toBe(2);
  // nothing was asked of anyone else, and the policy has stopped nothing
  expect(urls.filter((url) => !url.startsWith(service.url) && !url.startsWith("data:"))).toEqual([]);
  expect(complaints).toEqual([]);
  // it could not be
  const away = "new Promise((done) => { document.addEventListener('securitypolicyviolation', (event) => done(event.violatedDirective)); REST })";
  expect(await page.evaluate(away.replace("REST", "fetch('http://127.0.0.1:1/').catch(() => {})"))).toBe("connect-src");
  expect(await page.evaluate(away.replace("REST", "new Image().src = 'http://127.0.0.1:1/a.png'"))).toBe("img-src");
  expect(await page.evaluate(away.replace("REST", "document.body.append(Object.assign(document.createElement('script'), { textContent: '1' }))"))).toMatch(/^script-src/);
});

test("one view and the second look, side by side", async () => {
  await open();
  await page.click("#samples li:first-child button");
  await wait('document.querySelector("#question").value !== ""');
  await page.check("#compare");
  await page.click("#ask");
  await wait('[...document.querySelectorAll(".facts")].filter((each) => each.textContent).length === 2');
  const [one, two] = await page.locator(".text").allInnerTexts();
  expect(two).toBe(first.answer);
  expect(one).not.toBe(two);
  expect(await page.locator("article h2").allInnerTexts()).toEqual(["one view", "second look"]);
  expect(await page.locator("figure:visible").count()).toBe(1);
  await shot("page-compare");
});

test("a picture is pasted, and a tall page scrolls to what was read", async () => {
  await open();
  const tall = await sharp(first.image).extend({ top: 5000, background: "#fff" }).png().toBuffer();
  await page.evaluate(`(() => {
    const bytes = Uint8Array.from(atob("${tall.toString("base64")}"), (c) => c.charCodeAt(0));
    const data = new DataTransfer();
    data.items.add(new File([bytes], "a.png", { type: "image/png" }));
    document.dispatchEvent(new ClipboardEvent("paste", { clipboardData: data, bubbles: true, cancelable: true }));
  })()`);
  await page.waitForSelector("#scroll:not([hidden])");
  await page.check("#tiles");
  await ask(first.question);
  expect(await text(".text")).toBe(first.answer);
  expect(await page.evaluate('document.querySelector("#scroll").scrollTop')).toBeGreaterThan(500);
  expect(await page.evaluate("document.documentElement.scrollTop")).toBe(0);
  const [, reused, all] = /(\d+) of (\d+) tokens reused/.exec(await text(".facts"))!.map(Number);
  expect(reused).toBeLessThanOrEqual(all);
  expect(await heat(0, 0, 1, 0.5)).toBeLessThan(await heat(0, 0.83, 1, 1));
  await shot("page-tall");
});

test("the heat of a picture that is no square lies where its box does", async () => {
  await open();
  const buffer = await sharp(first.image).extend({ left: 600, background: "#fff" }).png().toBuffer();
  await page.setInputFiles("#file", { name: "a.png", mimeType: "image/png", buffer });
  await ask("What code is under PAGE?"); // near the upper edge
  const at = await page.evaluate(`(() => {
    const { width, height } = document.querySelector("#heat");
    const { data } = document.querySelector("#heat").getContext("2d").getImageData(0, 0, width, height);
    let most = 3;
    for (let index = 3; index < data.length; index += 4) if (data[index] > data[most]) most = index;
    const cell = (most - 3) / 4;
    return [(cell % width) / width, Math.floor(cell / width) / height];
  })()`);
  const [x, y] = at;
  // the model saw the picture in the middle of a square
  const { map } = (await service.post("/v1/sd-rpn/roi", { image: buffer.toString("base64"), question: "What code is under PAGE?", overlay: false })).body;
  const greatest = map.data.indexOf(Math.max(...map.data));
  const [side, padding] = [1608, (1608 - 1008) / 2];
  expect(x).toBeCloseTo(((greatest % map.width) + 0.5) / map.width, 1);
  expect(y).toBeCloseTo(((Math.floor(greatest / map.width) + 0.5) / map.height * side - padding) / 1008, 1);
});

test("errors are said, and the next question works", async () => {
  await open();
  await ask("What is it?");
  expect(await text("#error")).toBe("Choose a picture first.");
  await page.setInputFiles("#file", { name: "a.png", mimeType: "image/png", buffer: Buffer.from("no picture") });
  await ask("What is it?");
  expect(await text("#error")).toMatch(/^Expected a picture|cannot|Input/);
  expect(await page.locator("article:visible, #scroll:visible").count()).toBe(0);
  await shot("page-error");
  await page.setInputFiles("#file", first.image);
  await ask(first.question);
  expect([await text("#error"), await text(".text")]).toEqual(["", first.answer]);
});

test("a service that asks for a key", async () => {
  const locked = await startService({ keys: ["open-sesame"] });
  try {
    await open(locked.url);
    await page.waitForSelector("#key-row:not([hidden])");
    await page.fill("#key", "open-sesame");
    await page.setInputFiles("#file", first.image);
    await ask(first.question);
    expect(await text(".text")).toBe(first.answer);
  } finally {
    await page.context().close();
    await locked.end();
  }
});

test("a server that dies in the middle of a stream", async () => {
  // passes everything on, and cuts the stream behind its second piece
  const proxy: Server = createServer((asked, answer) => {
    const on = request(service.url + asked.url, { method: asked.method, headers: { ...asked.headers, host: new URL(service.url).host, origin: service.url } }, (response) => {
      answer.writeHead(response.statusCode!, response.headers);
      if (asked.method !== "POST") return response.pipe(answer);
      let pieces = 0;
      response.on("data", (part: Buffer) => {
        answer.write(part);
        pieces += part.toString().split("\n\n").length - 1;
        if (pieces >= 2) {
          on.destroy();
          setTimeout(() => answer.destroy(), 50);
        }
      });
      return response.on("error", () => {});
    });
    on.on("error", () => {});
    asked.pipe(on);
  });
  const close = (): void => {
    proxy.close();
    proxy.closeAllConnections();
  };
  closing.push(close);
  await new Promise<void>((resolve) => proxy.listen(0, "127.0.0.1", resolve));
  await open(`http://127.0.0.1:${(proxy.address() as AddressInfo).port}`);
  await page.setInputFiles("#file", first.image);
  await page.fill("#question", first.question);
  await page.click("#ask");
  await wait('document.querySelector("#error").textContent !== ""');
  expect(await text("#error")).toMatch(/connection (was lost|ended) before/);
  expect(await page.isEnabled("#ask")).toBe(true);
  await shot("page-cut");
  close();
  await page.click("#ask");
  await wait('document.querySelector("#error").textContent.includes("cannot be reached")');
});

test.each([
  ["light", 1200],
  ["dark", 1200],
  ["dark", 390],
  ["light", 390],
])("axe finds nothing wrong, and nothing is cut off: %s, %i wide", async (colorScheme, width) => {
  await open(service.url, { colorScheme, viewport: { width, height: 844 } });
  await page.waitForSelector("#samples img");
  expect(await axe()).toEqual([]);
  // by the keyboard alone
  await page.focus("#samples li:first-child button");
  await page.keyboard.press("Enter");
  await wait('document.querySelector("#question").value !== ""');
  await page.focus("#question");
  await page.keyboard.press("Enter");
  await page.waitForSelector(".facts:not(:empty)");
  expect(await axe()).toEqual([]);
  expect(await page.evaluate("document.documentElement.scrollWidth")).toBeLessThanOrEqual(width);
  await shot(`page-${colorScheme}-${width}`, { fullPage: true });
});
