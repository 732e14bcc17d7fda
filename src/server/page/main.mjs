import { ask, AskError, headersOf, requestOf } from "./ask.mjs";
import { clearHeat, drawBoxes, drawCrop, drawHeat, drawPhases } from "./draw.mjs";

const $ = (id) => document.getElementById(id);
const picture = $("picture");
let uri = null;
let square = true;
let running = null;
$("key").value = sessionStorage.getItem("key") ?? "";

// ---- the picture

function show(dataUri, question) {
  uri = dataUri;
  picture.src = dataUri;
  $("scroll").hidden = false;
  clear();
  if (question !== undefined) $("question").value = question;
  say("The picture is there. Ask a question about it.");
}

function clear() {
  clearHeat($("heat"));
  $("boxes").replaceChildren();
  $("answers").replaceChildren();
  fail("");
}

function take(file) {
  if (!file) {
    return;
  }
  const reader = new FileReader();
  reader.onload = () => show(reader.result.replace(/^data:application\/octet-stream/, "data:"));
  reader.onerror = () => fail("The file cannot be read.");
  reader.readAsDataURL(file);
}

picture.addEventListener("error", () => {
  $("scroll").hidden = true;
  fail("The browser cannot show this picture; the service may still read it.");
});
for (const input of [$("file"), $("camera")]) {
  input.addEventListener("change", () => {
    take(input.files[0]);
    input.value = ""; // the same file may be chosen again
  });
}
document.addEventListener("paste", (event) => {
  const file = [...event.clipboardData.files].find(({ type }) => type.startsWith("image/"));
  if (file) {
    event.preventDefault();
    take(file);
  }
});
for (const name of ["dragover", "dragleave", "drop"]) {
  document.addEventListener(name, (event) => {
    event.preventDefault();
    $("drop").classList.toggle("over", name === "dragover");
    if (name === "drop") take(event.dataTransfer.files[0]);
  });
}

// ---- questions

$("form").addEventListener("submit", (event) => {
  event.preventDefault();
  void askAll();
});
$("question").addEventListener("keydown", (event) => {
  if (event.key === "Enter" && !event.shiftKey) {
    event.preventDefault();
    $("form").requestSubmit();
  }
});
$("stop").addEventListener("click", () => running?.abort());
$("key").addEventListener("change", () => {
  sessionStorage.setItem("key", $("key").value);
  void describe();
});

async function askAll() {
  const question = $("question").value.trim();
  if (running || question === "") {
    return;
  }
  if (!uri) {
    return fail("Choose a picture first.");
  }
  clear();
  running = new AbortController();
  $("ask").disabled = true;
  $("stop").hidden = false;
  try {
    const tiles = $("tiles").checked;
    const ways = $("compare").checked ? [["one view", "low"], ["second look", "auto"]] : [["answer", "auto"]];
    for (const [title, detail] of ways) {
      await askOnce(title, question, { detail, tiles });
    }
  } catch (error) {
    if (!running.signal.aborted) {
      fail(error instanceof AskError ? error.message : String(error));
      $("key-row").hidden &&= error.status !== 401;
    }
  } finally {
    running = null;
    $("ask").disabled = false;
    $("stop").hidden = true;
  }
}

/** One answer, shown as it comes. */
async function askOnce(title, question, how) {
  const body = requestOf(uri, question, how);
  const card = $("answer").content.firstElementChild.cloneNode(true);
  const part = (selector) => card.querySelector(selector);
  part("h2").textContent = title;
  $("answers").append(card);
  const answer = { question, text: "", sd_rpn: null, annotations: [], usage: null };
  part(".json").addEventListener("click", () => copy(JSON.stringify(answer, null, 2), "The answer is copied as JSON."));
  part(".curl").addEventListener("click", () => copy(curlOf(body), "The request is copied as a curl command."));
  card.hidden = true;
  for await (const piece of ask(body, $("key").value, running.signal)) {
    card.hidden = false; // where there is only an error, no card
    const delta = piece.choices[0]?.delta ?? {};
    if (delta.annotations) {
      answer.annotations = delta.annotations;
      const { image, region, map } = piece.sd_rpn;
      drawBoxes($("boxes"), delta.annotations);
      if (map) drawHeat($("heat"), map, image, square && !how.tiles);
      if (region?.crop) {
        drawCrop(part("canvas"), picture, region.crop, image);
        part("figure").hidden = false;
        scrollTo(region.crop, image);
      }
    }
    if (delta.content) {
      answer.text += delta.content;
      part(".text").textContent = answer.text;
    }
    answer.usage = piece.usage ?? answer.usage;
    if (piece.sd_rpn?.confidence !== undefined || piece.choices[0]?.finish_reason) answer.sd_rpn = piece.sd_rpn;
  }
  finish(part, answer);
}

/** Of a tall page: to what was read. */
function scrollTo({ y, height }, image) {
  const scroll = $("scroll");
  scroll.scrollTop = ((y + height / 2) / image.height) * $("stage").clientHeight - scroll.clientHeight / 2;
}

function finish(part, answer) {
  const { sd_rpn: { timings, confidence, hints }, usage } = answer;
  const reused = usage.prompt_tokens_details.cached_tokens;
  const facts = [
    `${timings.total.toFixed(0)} ms`,
    ...(confidence === undefined ? [] : [`${(100 * confidence).toFixed(0)} % sure`]),
    `${reused} of ${usage.prompt_tokens} tokens reused`,
    ...hints.map(({ message }) => message),
  ];
  part(".facts").textContent = facts.join(" · ");
  drawPhases(part(".phases"), timings);
  const item = document.createElement("li");
  const again = document.createElement("button");
  again.type = "button";
  again.textContent = answer.question;
  again.addEventListener("click", () => ($("question").value = answer.question));
  item.append(again, ` ${answer.text} (${timings.total.toFixed(0)} ms)`);
  $("history").prepend(item);
  $("history-part").hidden = false;
}

function curlOf(body) {
  const short = { ...body, stream: false, stream_options: undefined };
  const text = JSON.stringify(short).replaceAll("'", "'\\''");
  const key = $("key").value ? ` -H "authorization: Bearer $SD_RPN_API_KEY"` : "";
  return `curl -s '${new URL("v1/chat/completions", location.href)}' -H 'content-type: application/json'${key} -d @- <<'JSON'\n${text}\nJSON\n`;
}

async function copy(text, told) {
  try {
    await navigator.clipboard.writeText(text);
    say(told);
  } catch {
    fail("The browser did not allow copying.");
  }
}

function fail(message) {
  $("error").textContent = message;
}

function say(message) {
  $("status").textContent = message;
}

// ---- what is served

async function describe() {
  try {
    const response = await fetch("v1/models", { headers: headersOf($("key").value) });
    if (response.status === 401) {
      $("key-row").hidden = false;
      $("model").textContent = "an API key is needed";
      return;
    }
    const { data, error } = await response.json();
    if (error) {
      $("model").textContent = error.message;
      setTimeout(() => void describe(), 1000);
      return;
    }
    square = data[0].sd_rpn.family === "llava";
    $("model").textContent = `${data[0].id} · ${data[0].sd_rpn.backend}`;
  } catch {
    $("model").textContent = "the service cannot be reached";
  }
}

async function samples() {
  const list = await (await fetch("page/samples.json")).json();
  $("samples").replaceChildren(...list.map(({ name, question }, index) => {
    const [item, button, image] = ["li", "button", "img"].map((tag) => document.createElement(tag));
    button.type = "button";
    image.src = `page/samples/${name}`;
    image.alt = `sample ${index + 1}`;
    button.append(image);
    button.addEventListener("click", async () => {
      const blob = await (await fetch(image.src)).blob();
      const reader = new FileReader();
      reader.onload = () => show(reader.result, question);
      reader.readAsDataURL(blob);
    });
    item.append(button);
    return item;
  }));
}

void describe();
samples().catch(() => {});
