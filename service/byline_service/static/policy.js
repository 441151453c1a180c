// The form of a policy: it sends the newest revision with the changed terms.
import { minorOf } from "./amounts.js";
import { send } from "./api.js";
import { during, freshKey } from "./confirm.js";
import { faultAt } from "./faults.js";

function amountOf(form, name, digits) {
  const field = form.elements.namedItem(name);
  try {
    return minorOf(field.value || "0", digits);
  } catch (error) {
    throw faultAt(field, error.message);
  }
}

function bodyOf(form) {
  const values = new FormData(form);
  const body = { ...JSON.parse(form.dataset.base) };
  for (const name of ["name", "currency", "period", "spread"]) if (values.has(name)) body[name] = values.get(name).trim();
  const digits = JSON.parse(form.dataset.digits)[body.currency];
  body.pool = amountOf(form, "pool", digits);
  body.floor = amountOf(form, "floor", digits);
  if (body.spread === "event" && values.get("budget")) body.budget = amountOf(form, "budget", digits);
  if (values.get("confidence")) body.confidence = Number(values.get("confidence")) / 100;
  const least = values.get("quality");
  body.minimum_quality = least === "" ? null : { metric: "lds", by: "low", ...body.minimum_quality, least: Number(least) };
  body.largest_weight = Number(values.get("largest_weight"));
  body.fallback = values.get("fallback");
  body.indexes = values.get("indexes").split(",").map((each) => each.trim()).filter(Boolean);
  body.allow_within_checkpoint = values.has("allow_within_checkpoint");
  return body;
}

for (const form of document.querySelectorAll("form[data-policy-form]")) {
  let key = freshKey();
  form.addEventListener("input", () => (key = freshKey()));
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    during(form.closest("dialog"), form.querySelector(".status"), async () => {
      const { policy } = await send("POST", "/v1/policies", bodyOf(form), { "Idempotency-Key": key });
      location.assign(`/compensation/policies?policy=${encodeURIComponent(policy.name)}`);
    });
  });
}
