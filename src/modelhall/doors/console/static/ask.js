// The box to try a service with: a conversation, a text, a picture drawn or from a file, or a row of fields.

import { call, refusal, tell } from "./wire.js";
import { drawing } from "./drawing.js";

const box = document.getElementById("try");
const form = document.getElementById("asking");
const said = document.getElementById("said");
const MOST_SHOWN = 10;

/** Show where the answer's receipt is: what it cost, and the way back to its data. */
function receipt(answer) {
  const id = answer.headers.get("x-request-id");
  const place = document.getElementById("receipt");
  place.hidden = !id;
  if (!id) return;
  const link = place.querySelector("a");
  link.href = `/requests/${id}`;
  link.textContent = id;
}

/** Ask in the Open Inference Protocol; the outputs by their names. */
async function infer(inputs) {
  const answer = await call("POST", `${box.dataset.ask}/infer`, { inputs });
  receipt(answer);
  return Object.fromEntries((await answer.json()).outputs.map((one) => [one.name, one]));
}

function element(name, words, className = "") {
  const made = document.createElement(name);
  made.textContent = words;
  made.className = className;
  return made;
}

/** Classes with how likely each is; else whatever the task tells, by name. */
function showOutputs(outputs) {
  const place = document.getElementById("answer");
  const shown = element("div", "", "answer");
  const labels = outputs.scores?.parameters?.labels;
  if (labels) {
    shown.append(element("h3", outputs.label.data[0]));
    const likeliest = labels.map((label, at) => [label, outputs.scores.data[at]]).sort((a, b) => b[1] - a[1]);
    likeliest.slice(0, MOST_SHOWN).forEach(([label, score], at) => {
      const meter = element("meter", "");
      meter.max = 1;
      meter.value = score;
      meter.setAttribute("aria-label", label);
      shown.append(element("span", label, at ? "" : "best"), meter, element("span", `${(score * 100).toFixed(1)} %`, "num dim"));
    });
  } else {
    shown.className = "";
    for (const [name, output] of Object.entries(outputs)) shown.append(told(name, output));
  }
  place.replaceChildren(shown);
}

function told(name, output) {
  const values = output.data.map((value) => (typeof value === "number" ? Number(value.toPrecision(6)) : value));
  const line = element("p", "");
  const more = values.length > 16 ? ` … (${values.length})` : "";
  line.append(element("span", `${name} `, "dim"), element("strong", values.slice(0, 16).join(", ") + more, "num"));
  return line;
}

const tensor = (name, datatype, data) => ({ name, datatype, shape: [1], data: [data] });

async function askText() {
  showOutputs(await infer([tensor("text", "BYTES", said.value)]));
}

async function askPicture(picture) {
  showOutputs(await infer([tensor("image", "BYTES", await picture.base64())]));
}

/** A field for each column that the service takes. */
async function showFields() {
  const place = document.getElementById("fields");
  try {
    const { inputs } = await (await call("GET", box.dataset.ask)).json();
    place.replaceChildren(...inputs.map((input) => {
      const label = element("label", input.name);
      const field = element("input", "");
      Object.assign(field, { name: input.name, required: input.datatype !== "BYTES" });
      if (input.datatype !== "BYTES") Object.assign(field, { type: "number", step: "any", value: "0" });
      field.dataset.datatype = input.datatype;
      label.append(field);
      return label;
    }));
  } catch (error) {
    place.textContent = error.message;
  }
}

async function askTable() {
  const fields = [...form.querySelectorAll("input[data-datatype]")];
  showOutputs(await infer(fields.map((field) => {
    const { datatype } = field.dataset;
    return tensor(field.name, datatype, datatype === "BYTES" ? field.value : Number(field.value));
  })));
}

const messages = [];
let stopping = null;

/** Say something, and show what is answered as it comes. A message that was not answered was never said. */
async function converse() {
  const talk = document.getElementById("talk");
  const mine = element("p", said.value, "mine");
  const answered = element("p", "…");
  talk.append(mine, answered);
  stopping = new AbortController();
  document.getElementById("stop").disabled = false;
  const asked = [...messages, { role: "user", content: said.value }];
  try {
    const text = await stream(asked, (words) => {
      answered.textContent = words;
      talk.scrollTop = talk.scrollHeight;
    });
    messages.splice(0, messages.length, ...asked, { role: "assistant", content: text });
    said.value = "";
  } catch (error) {
    if (error.name !== "AbortError") {
      mine.remove();
      answered.remove();
      throw error;
    }
  } finally {
    document.getElementById("stop").disabled = true;
  }
}

async function stream(asked, show) {
  const answer = await fetch(`${box.dataset.ask}/chat`, {
    method: "POST",
    signal: stopping.signal,
    headers: {
      "content-type": "application/json",
      "x-modelhall-csrf": document.querySelector('meta[name="csrf"]').content,
    },
    body: JSON.stringify({
      model: box.dataset.model,
      messages: asked,
      stream: true,
      max_tokens: Number(document.getElementById("max-tokens").value),
      temperature: Number(document.getElementById("temperature").value),
    }),
  });
  if (!answer.ok) throw new Error(await refusal(answer));
  receipt(answer);
  let text = "";
  for await (const event of events(answer.body)) {
    if (event === "[DONE]") break;
    const chunk = JSON.parse(event);
    if (chunk.error) throw new Error(chunk.error.message);
    text += chunk.choices[0]?.delta?.content ?? "";
    show(text);
  }
  return text;
}

/** The data of each server-sent event of a body. */
async function* events(body) {
  const reader = body.pipeThrough(new TextDecoderStream()).getReader();
  let rest = "";
  for (;;) {
    const { value, done } = await reader.read();
    if (done) return;
    const lines = (rest + value).split("\n");
    rest = lines.pop();
    for (const line of lines) if (line.startsWith("data:")) yield line.slice(5).trim();
  }
}

function ways() {
  const task = box.dataset.task;
  if (task === "text-generation") return converse;
  if (task === "image-classification") {
    const picture = drawing(document.getElementById("canvas"), document.getElementById("file"));
    document.getElementById("clear").addEventListener("click", picture.clear);
    return () => askPicture(picture);
  }
  if (task.startsWith("tabular-")) {
    showFields();
    return askTable;
  }
  return askText;
}

if (box) {
  const ask = ways();
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    const button = form.querySelector("button.main");
    button.disabled = true;
    try {
      await ask();
    } catch (error) {
      tell(error.message);
    } finally {
      button.disabled = false;
    }
  });
  document.getElementById("stop")?.addEventListener("click", () => stopping?.abort());
  document.getElementById("forget")?.addEventListener("click", () => {
    messages.length = 0;
    document.getElementById("talk").replaceChildren();
  });
}
