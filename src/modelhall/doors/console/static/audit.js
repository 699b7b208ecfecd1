// The proof of the audit log, on demand: it reads all of it.

import { call } from "./wire.js";

const button = document.getElementById("verify");

button.addEventListener("click", async () => {
  const verdict = document.getElementById("verdict");
  button.disabled = true;
  try {
    const found = await (await call("GET", "/api/v1/audit/verify")).json();
    verdict.textContent = found.wrong === null ? button.dataset.good : `${button.dataset.bad}: ${found.wrong.problem}`;
  } catch (error) {
    verdict.textContent = error.message;
  } finally {
    button.disabled = false;
  }
});
