// One page of one PDF, in a thread of its own: PDFium draws without a pause, and whatever a damaged file does to its memory ends with
// the thread. JavaScript as it stands, since a thread has to run this file from src as well as from lib.
//
// It is given { bytes, page } and sends { pages, width, height }, the page's size in points, 0 where there is no such page. Told
// { width, height } in pixels it sends { data }, RGBA on white. What fails is told as { failure, message } instead.
const { parentPort, workerData } = require("node:worker_threads");

async function open() {
  const { PDFiumLibrary } = load();
  const library = await PDFiumLibrary.init();
  const document = await library.loadDocument(workerData.bytes);
  const pages = document.getPageCount();
  const page = workerData.page < pages ? document.getPage(workerData.page) : null;
  const { originalWidth: width, originalHeight: height } = page?.getOriginalSize() ?? { originalWidth: 0, originalHeight: 0 };
  parentPort.once("message", (size) => draw(page, size).catch(tell));
  parentPort.postMessage({ pages, width, height });
}

function load() {
  try {
    return require("@hyzyla/pdfium");
  } catch (error) {
    throw error.code === "MODULE_NOT_FOUND" ? Object.assign(error, { failure: "missing" }) : error;
  }
}

async function draw(page, { width, height }) {
  // PDFium draws the fields of forms apart from the page
  const { data } = await page.render({ width, height, scale: 1, render: "bitmap", renderFormFields: true });
  parentPort.postMessage({ data }, [data.buffer]);
}

function tell(error) {
  const message = String(error?.message ?? error);
  const failure = error?.failure ?? (/^Password/.test(message) ? "locked" : /allocate memory|out of memory/i.test(message) ? "memory" : "damaged");
  parentPort.postMessage({ failure, message });
}

open().catch(tell);
