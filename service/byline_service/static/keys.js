// Making keys. The secret is shown once and leaves the page with its dialog.
import { send } from "./api.js";
import { during, tell } from "./confirm.js";

const form = document.querySelector("form[data-make-key]");
const made = document.getElementById("made");
const shown = document.getElementById("made-key");

function bodyOf(values) {
  const owners = values.get("owners").split("\n").map((each) => each.trim()).filter(Boolean);
  const body = { person: values.get("person").trim(), name: values.get("name").trim(), scopes: values.getAll("scopes") };
  if (owners.length) body.owners = owners;
  if (values.get("expires")) body.expires_at = `${values.get("expires")}T23:59:59Z`;
  for (const name of ["requests_per_minute", "queries_per_minute"]) if (values.get(name)) body[name] = Number(values.get(name));
  return body;
}

form.addEventListener("submit", (event) => {
  event.preventDefault();
  during(form.closest("dialog"), form.querySelector(".status"), async () => {
    const { key } = await send("POST", "/v1/keys", bodyOf(new FormData(form)));
    form.closest("dialog").close();
    shown.value = key;
    made.showModal();
    shown.select();
  });
});
document.getElementById("copy-key").addEventListener("click", async () => {
  shown.select();
  await navigator.clipboard.writeText(shown.value);
  tell(made.querySelector(".status"), "Copied.");
});
made.querySelector("[data-done-key]").addEventListener("click", () => made.close());
made.addEventListener("close", () => {
  shown.value = "";
  location.reload();
});
