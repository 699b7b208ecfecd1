// A run's output as it comes. What programs say is put in as text, whatever it looks like.

const EVERY_MS = 1000;
const MOST = 400_000;

const log = document.getElementById("log");
const over = document.getElementById("over");
const decoder = new TextDecoder();
let offset = Number(log.dataset.offset);
let attempt = log.dataset.attempt;

function show(text) {
  const atEnd = log.scrollHeight - log.scrollTop - log.clientHeight < 40;
  log.append(text);
  if (log.textContent.length > MOST) log.textContent = log.textContent.slice(-MOST / 2);
  document.getElementById("log-empty").hidden = true;
  if (atEnd) log.scrollTop = log.scrollHeight;
}

/** Read on from where it was; true when there was something. */
async function readOn() {
  const answer = await fetch(`${log.dataset.path}&offset=${offset}&attempt=${attempt}`);
  if (!answer.ok) return false;
  const piece = new Uint8Array(await answer.arrayBuffer());
  offset = Number(answer.headers.get("x-log-offset")) + piece.length;
  if (piece.length) show(decoder.decode(piece, { stream: true }));
  return piece.length > 0;
}

async function follow() {
  try {
    while (!document.hidden && attempt !== "0" && await readOn());
    const [state, newest] = over.textContent.split(" ");
    if (newest !== attempt) {
      attempt = newest;
      offset = 0;
    } else if (state === "over") {
      return;
    }
  } catch {
    // The hall is away; what it says then is asked for again.
  }
  setTimeout(follow, EVERY_MS);
}

log.scrollTop = log.scrollHeight;
follow();
