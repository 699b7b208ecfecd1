// What all pages do: keep what is marked `data-live` as it is now, load parts that come later, carry out buttons.

import { call, tell } from "./wire.js";

const QUIET_MS = 700;
const main = document.getElementById("content");

let timer = null;
let isLoading = false;
let isWanted = false;

/** Have the page be read again soon, once, however much has changed. */
function refreshSoon() {
  isWanted = true;
  if (timer === null && !isLoading && !document.hidden) timer = setTimeout(refresh, QUIET_MS);
}

async function refresh() {
  timer = null;
  isLoading = true;
  isWanted = false;
  try {
    const answer = await fetch(location.href, { headers: { accept: "text/html" } });
    if (answer.redirected && new URL(answer.url).pathname === "/sign-in") location.assign(answer.url);
    if (answer.ok) replaceParts(new DOMParser().parseFromString(await answer.text(), "text/html"));
  } catch {
    // The hall is away; the stream of events comes back by itself, and then asks again.
  } finally {
    isLoading = false;
    if (isWanted) refreshSoon();
  }
}

/** Put in what is new of each live part. A part in which somebody is at work stays until he has left it. */
function replaceParts(fresh) {
  for (const part of document.querySelectorAll("[data-live]")) {
    const other = part.id && fresh.getElementById(part.id);
    if (!other || part.dataset.seen === other.innerHTML) continue;
    if (part.contains(document.activeElement) && document.activeElement.matches("input, textarea, select")) continue;
    const open = [...part.querySelectorAll("details")].map((one) => one.open);
    const focused = [...part.querySelectorAll("a, button, summary, [tabindex]")].indexOf(document.activeElement);
    const scrolled = [...part.querySelectorAll(".wide")].map((one) => one.scrollLeft);
    part.innerHTML = other.innerHTML;
    part.dataset.seen = other.innerHTML;
    part.querySelectorAll("details").forEach((one, place) => { one.open = open[place] ?? one.open; });
    part.querySelectorAll(".wide").forEach((one, place) => { one.scrollLeft = scrolled[place] ?? 0; });
    if (focused >= 0) part.querySelectorAll("a, button, summary, [tabindex]")[focused]?.focus();
    part.dispatchEvent(new Event("renewed", { bubbles: true }));
  }
}

/** Follow the hall while somebody looks: a browser keeps few connections open, and hidden pages need none. */
function follow(watched) {
  let stream = null;
  const begin = () => {
    if (document.hidden) {
      stream?.close();
      stream = null;
    } else if (stream === null) {
      stream = new EventSource(`/api/v1/watch?${watched}`);
      for (const name of ["changed", "removed", "gone"]) stream.addEventListener(name, refreshSoon);
      stream.addEventListener("open", refreshSoon);
    }
  };
  document.addEventListener("visibilitychange", begin);
  addEventListener("pagehide", () => stream?.close());
  begin();
}

async function loadPart(part, path) {
  try {
    const answer = await fetch(path, { headers: { accept: "text/html" } });
    const text = await answer.text();
    const fresh = new DOMParser().parseFromString(text, "text/html");
    part.innerHTML = answer.ok ? text : (fresh.querySelector("main .problem")?.outerHTML ?? "");
  } catch (error) {
    part.textContent = error.message;
  }
}

/** A button that says what is to be asked of the API: `data-call="DELETE /api/v1/…"`. */
async function carryOut(button) {
  if (button.dataset.sure && !confirm(button.dataset.sure)) return;
  const [method, path] = button.dataset.call.split(" ");
  button.disabled = true;
  try {
    await call(method, path, button.dataset.body ? JSON.parse(button.dataset.body) : undefined);
    if (button.dataset.then) location.assign(button.dataset.then);
    else refreshSoon();
  } catch (error) {
    tell(error.message);
  } finally {
    button.disabled = false;
  }
}

async function makeToken(form) {
  const { name, project, role, days } = Object.fromEntries(new FormData(form));
  const place = document.getElementById("new-token-secret");
  const token = { kind: "token", name, project, role, expires_at: Date.now() / 1000 + days * 86400 };
  try {
    const { secret } = await (await call("POST", "/api/v1/tokens", token)).json();
    const code = document.createElement("code");
    code.textContent = secret;
    place.replaceChildren(`${place.dataset.words} `, code);
    form.reset();
    refreshSoon();
  } catch (error) {
    tell(error.message);
  }
}

document.addEventListener("click", (event) => {
  const button = event.target.closest("[data-call]");
  const into = event.target.closest("[data-into]");
  if (button) carryOut(button);
  if (into) {
    event.preventDefault();
    loadPart(document.getElementById(into.dataset.into), into.href);
  }
});
document.getElementById("new-token")?.addEventListener("submit", (event) => {
  event.preventDefault();
  makeToken(event.target);
});
for (const part of document.querySelectorAll("[data-live]")) part.dataset.seen = part.innerHTML;
for (const part of document.querySelectorAll("[data-from]")) loadPart(part, part.dataset.from);
if (main?.dataset.watch) follow(main.dataset.watch);
if (main?.dataset.every) setInterval(refreshSoon, main.dataset.every * 1000);
