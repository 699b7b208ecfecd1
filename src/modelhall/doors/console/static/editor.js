// The editor of hall files: lines with their numbers, the first mistake where it stands, and what may stand here.

import { call, tell } from "./wire.js";
import { choicesAt } from "./completion.js";

const CHECK_MS = 400;
const text = document.getElementById("text");
const gutter = document.getElementById("gutter");
const verdict = document.getElementById("mistake");
const applying = document.getElementById("apply");
const choices = document.getElementById("choices");
const outcomes = document.getElementById("outcomes");

let read = null;
let wrongLine = null;
let schema = {};
let offered = [];
let chosen = 0;
let timer = null;
let asked = 0;
let tabLeaves = false;

function number() {
  const lines = text.value.split("\n").length;
  while (gutter.children.length > lines) gutter.lastChild.remove();
  while (gutter.children.length < lines) gutter.append(document.createElement("li"));
  [...gutter.children].forEach((line, at) => {
    line.textContent = at + 1;
    line.className = at + 1 === wrongLine ? "wrong" : "";
  });
  gutter.scrollTop = text.scrollTop;
}

function judge(message, { line = null, isRight = false } = {}) {
  wrongLine = line;
  const place = line === null ? "" : `${verdict.dataset.line.replace("{line}", line)}: `;
  verdict.textContent = message && place + message;
  verdict.className = `verdict ${isRight ? "right" : "wrong"}`;
  text.setAttribute("aria-invalid", String(!isRight && Boolean(message)));
  number();
}

/** Read what is written; the documents in it, or null where it has a mistake. */
async function check() {
  const turn = ++asked;
  read = null;
  applying.disabled = true;
  if (!text.value.trim()) return judge("", { isRight: true });
  try {
    const found = await (await call("POST", "/api/v1/hall-file", { text: text.value })).json();
    if (turn !== asked) return null;
    if (found.mistake) {
      const { field, message, line } = found.mistake;
      return judge([field, message].filter(Boolean).join(": "), { line });
    }
    read = found;
    applying.disabled = found.documents.length === 0;
    return judge(verdict.dataset.good.replace("{count}", found.documents.length), { isRight: true });
  } catch (error) {
    return judge(error.message);
  }
}

/** The line of the field that an error is about, or of the nearest thing around it. */
function lineOf(error) {
  const lines = read.lines[error.document ?? 0] ?? {};
  let field = error.field ?? "";
  while (field && !(field in lines)) field = field.includes(".") ? field.slice(0, field.lastIndexOf(".")) : "";
  return lines[field] ?? null;
}

async function declare(isTry) {
  await check();
  if (!read) return;
  const proof = document.querySelector('meta[name="csrf"]').content;
  const answer = await fetch("/api/v1/apply", {
    method: "POST",
    headers: { "content-type": "application/json", "x-modelhall-csrf": proof },
    body: JSON.stringify({ documents: read.documents, dry_run: isTry }),
  });
  const found = await answer.json();
  if (!answer.ok) {
    outcomes.replaceChildren();
    const { field, message } = found.error;
    judge([field, message].filter(Boolean).join(": "), { line: lineOf(found.error) });
    return;
  }
  showOutcomes(found.outcomes, isTry);
}

function showOutcomes(found, isTry) {
  const list = document.createElement("ul");
  for (const one of found) {
    const line = document.createElement("li");
    const link = document.createElement("a");
    const hasPage = ["dataset", "model", "service", "run"].includes(one.kind);
    link.textContent = `${one.kind} ${one.name}`;
    link.href = hasPage ? `/${one.kind}s/${one.project}/${one.name}` : "/projects";
    line.append(link, ` ${outcomes.dataset[one.change] ?? one.change}${price(one.expected)}`);
    list.append(line);
  }
  const head = document.createElement("p");
  head.textContent = isTry ? outcomes.dataset.would : outcomes.dataset.done;
  outcomes.replaceChildren(head, list);
}

/** What something is expected to take, where that is known. */
function price(expected) {
  if (!expected) return "";
  const cost = `${Number((expected.cost_nano / 1e9).toPrecision(3))} ${expected.currency}`;
  const words = expected.like === null ? outcomes.dataset.hour : outcomes.dataset.like;
  const took = `${Math.round(expected.duration_s ?? 0)} s`;
  return `; ${words.replace("{cost}", cost).replace("{time}", took).replace("{run}", expected.like)}`;
}

function offer() {
  const at = text.selectionStart;
  offered = at === text.selectionEnd ? choicesAt(schema, text.value, at) : [];
  chosen = 0;
  choices.hidden = offered.length === 0;
  showOffered();
}

function showOffered() {
  choices.replaceChildren(...offered.map((one, at) => {
    const line = document.createElement("li");
    const about = document.createElement("span");
    line.setAttribute("role", "option");
    line.setAttribute("aria-selected", String(at === chosen));
    line.textContent = one.word;
    about.textContent = one.about;
    line.append(about);
    line.addEventListener("mousedown", (event) => {
      event.preventDefault();
      take(one);
    });
    return line;
  }));
  choices.children[chosen]?.scrollIntoView({ block: "nearest" });
}

/** Write one of the choices in place of its beginning. */
function take({ word, begun, ending }) {
  text.setRangeText(word + ending, text.selectionStart - begun.length, text.selectionStart, "end");
  changed();
}

function changed() {
  number();
  offer();
  clearTimeout(timer);
  timer = setTimeout(check, CHECK_MS);
}

function onKey(event) {
  const isOpen = !choices.hidden;
  if (event.key === "Escape") {
    choices.hidden = true;
    tabLeaves = true;
    return;
  }
  if (event.key === "Tab" && !event.shiftKey && !tabLeaves) {
    event.preventDefault();
    if (isOpen) take(offered[chosen]);
    else {
      text.setRangeText("  ", text.selectionStart, text.selectionEnd, "end");
      changed();
    }
  } else if (isOpen && ["ArrowDown", "ArrowUp"].includes(event.key)) {
    event.preventDefault();
    chosen = (chosen + (event.key === "ArrowDown" ? 1 : offered.length - 1)) % offered.length;
    showOffered();
  }
  tabLeaves = false;
}

text.addEventListener("input", changed);
text.addEventListener("keydown", onKey);
text.addEventListener("scroll", () => { gutter.scrollTop = text.scrollTop; });
text.addEventListener("blur", () => { choices.hidden = true; });
for (const button of document.querySelectorAll("[data-example]")) {
  button.addEventListener("click", () => {
    text.value = document.getElementById(`example-${button.dataset.example}`).content.textContent;
    text.focus();
    changed();
    choices.hidden = true;
  });
}
for (const [id, isTry] of [["dry-run", true], ["apply", false]]) {
  document.getElementById(id).addEventListener("click", () => declare(isTry).catch((error) => tell(error.message)));
}
number();
schema = await (await call("GET", "/api/v1/schema")).json();
