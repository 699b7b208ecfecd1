// Signing in: the session comes as a cookie that no script can read, and the way goes on to where somebody wanted to be.

import { refusal, tell } from "./wire.js";

async function signIn(form) {
  const button = form.querySelector("button");
  button.disabled = true;
  try {
    const answer = await fetch("/api/v1/session", {
      method: "POST",
      headers: { "content-type": "application/json" },
      body: JSON.stringify(Object.fromEntries(new FormData(form))),
    });
    if (!answer.ok) throw new Error(await refusal(answer));
    location.assign(form.dataset.back);
  } catch (error) {
    tell(error.message);
    button.disabled = false;
  }
}

for (const form of document.querySelectorAll("form")) {
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    signIn(form);
  });
}
