// Placing and ending holds.
import { send } from "./api.js";
import { during, freshKey } from "./confirm.js";

function submitted(form, action) {
  let key = freshKey();
  form?.addEventListener("input", () => (key = freshKey()));
  form?.addEventListener("submit", (event) => {
    event.preventDefault();
    during(form.closest("dialog"), form.querySelector(".status"), async () => {
      await action(new FormData(form), { "Idempotency-Key": key });
      location.reload();
    });
  });
}

submitted(document.querySelector("form[data-place-hold]"), (values, headers) => {
  const subject = Object.fromEntries(["owner", "index", "work"].map((name) => [name, values.get(name).trim() || null]));
  return send("POST", "/v1/holds", { subject, nature: values.get("nature"), reason: values.get("reason") }, headers);
});

const dialog = document.getElementById("end");
let ending = null;
for (const button of document.querySelectorAll("[data-end-hold]")) {
  button.addEventListener("click", () => {
    ending = button.dataset.endHold;
    dialog.showModal();
  });
}
submitted(dialog?.querySelector("form"), (values, headers) =>
  send("POST", `/v1/holds/${encodeURIComponent(ending)}/end`, { reason: values.get("reason") }, headers),
);
