// Buttons with effects: they ask for confirmation, and a repeated press has no further effect.
import { minorOf } from "./amounts.js";
import { get, send } from "./api.js";
import { confirmed, during, freshKey } from "./confirm.js";
import { element } from "./dom.js";
import { whole } from "./numbers.js";

for (const button of document.querySelectorAll("[data-post], [data-put], [data-delete]")) {
  const { post, put, delete: gone, body, ...words } = button.dataset;
  const method = gone ? "DELETE" : put ? "PUT" : "POST";
  button.addEventListener("click", () =>
    confirmed(words, async (key) => {
      await send(method, gone ?? put ?? post, body ? JSON.parse(body) : undefined, { "Idempotency-Key": key });
      location.reload();
    }),
  );
}

for (const button of document.querySelectorAll("[data-dialog]")) {
  button.addEventListener("click", () => document.getElementById(button.dataset.dialog).showModal());
}

function draftOf(form) {
  const { draft: kind, policy, run } = form.dataset;
  const values = new FormData(form);
  if (kind === "allocation") return { kind: values.get("kind"), policy, period: values.get("period").trim() || null };
  if (kind === "release") {
    const { owner, digits, account = "escrow" } = form.dataset;
    const amounts = owner ? { [owner]: minorOf(values.get("amount"), Number(digits)) } : null;
    return { kind, policy, account, reason: values.get("reason"), amounts };
  }
  return { kind, run, reason: values.get("reason") };
}

for (const form of document.querySelectorAll("form[data-draft]")) {
  let key = freshKey();
  form.addEventListener("input", () => (key = freshKey())); // another body is another request
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    during(form.closest("dialog"), form.querySelector(".status"), async () => {
      const run = await send("POST", "/v1/statement-runs", { draft: draftOf(form) }, { "Idempotency-Key": key });
      location.assign(`/compensation/runs/${encodeURIComponent(run.id)}`);
    });
  });
}

for (const form of document.querySelectorAll("form[data-reject]")) {
  let key = freshKey();
  form.addEventListener("input", () => (key = freshKey()));
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    during(form.closest("dialog"), form.querySelector(".status"), async () => {
      await send("POST", form.dataset.reject, { comment: new FormData(form).get("comment") }, { "Idempotency-Key": key });
      location.reload();
    });
  });
}

const verify = document.getElementById("verify");
verify?.addEventListener("click", async () => {
  const said = document.getElementById("verified");
  verify.disabled = true;
  said.textContent = "Recomputing every statement …";
  try {
    const found = await get("/v1/ledger/verification");
    const sound = found.findings.length === 0;
    const text = sound ? `${whole.format(found.records)} records, ${whole.format(found.events)} events and ${whole.format(found.runs)} runs agree, to the byte. Head ${found.head.slice(0, 16)}…` : found.findings.map(({ where, what }) => `${where}: ${what}`).join("; ");
    said.replaceChildren(element("span", { class: `tag ${sound ? "good" : "warn"}` }, sound ? "sound" : "not sound"), ` ${text}`);
  } catch (error) {
    said.textContent = error.message;
  } finally {
    verify.disabled = false;
  }
});
