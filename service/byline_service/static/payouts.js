// Preparing and confirming payouts.
import { send } from "./api.js";
import { during, freshKey } from "./confirm.js";

function submitted(form, action) {
  let key = freshKey();
  form?.addEventListener("input", () => (key = freshKey()));
  form?.addEventListener("submit", (event) => {
    event.preventDefault();
    during(form.closest("dialog"), form.querySelector(".status"), () => action(new FormData(form), { "Idempotency-Key": key }));
  });
}

submitted(document.querySelector("form[data-prepare-payout]"), async (values, headers) => {
  const { id } = await send("POST", "/v1/payouts", { policy: values.get("policy") }, headers);
  location.assign(`/compensation/runs/${encodeURIComponent(id)}`);
});

const dialog = document.getElementById("confirm-payout");
let confirming = null;
for (const button of document.querySelectorAll("[data-confirm-payout]")) {
  button.addEventListener("click", () => {
    confirming = button.dataset.confirmPayout;
    dialog.showModal();
  });
}
submitted(dialog?.querySelector("form"), async (values, headers) => {
  const returned = values.get("returned").split("\n").map((each) => each.trim()).filter(Boolean);
  const body = { reference: values.get("reference"), value_date: values.get("value_date"), returned };
  await send("POST", `/v1/payouts/${encodeURIComponent(confirming)}/confirm`, body, headers);
  location.reload();
});
