// Calls of the API as this page's session: the cookie goes along by itself, the proof that a page of ours asks is added.

const proof = document.querySelector('meta[name="csrf"]')?.content ?? "";

/** The answer to a call; throws an Error with the hall's own words where it is refused. */
export async function call(method, path, body) {
  const headers = { "x-modelhall-csrf": proof };
  if (body !== undefined) headers["content-type"] = "application/json";
  const answer = await fetch(path, { method, headers, body: body === undefined ? undefined : JSON.stringify(body) });
  if (!answer.ok) throw new Error(await refusal(answer));
  return answer;
}

/** What a refused call says. */
export async function refusal(answer) {
  try {
    const { error } = await answer.json();
    return [error.field, error.message].filter(Boolean).join(": ");
  } catch {
    return `${answer.status} ${answer.statusText}`;
  }
}

/** Say something where everybody, and every screen reader, is told. */
export function tell(words) {
  const place = document.getElementById("told");
  place.textContent = words;
  clearTimeout(tell.timer);
  tell.timer = setTimeout(() => { place.textContent = ""; }, 8000);
}
