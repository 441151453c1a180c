// Recording a party.
import { send } from "./api.js";
import { during } from "./confirm.js";

const form = document.querySelector("form[data-party-form]");

function chosen(values, names) {
  return Object.fromEntries(names.map((name) => [name, values.get(name).trim() || null]));
}

form?.addEventListener("submit", (event) => {
  event.preventDefault();
  during(form.closest("dialog"), form.querySelector(".status"), async () => {
    const values = new FormData(form);
    await send("POST", "/v1/parties", {
      name: values.get("name").trim(),
      aliases: values.get("aliases").split("\n").map((each) => each.trim()).filter(Boolean),
      identifiers: chosen(values, ["isni", "orcid", "ipi", "lei"]),
      details: chosen(values, ["payee", "contact", "iban"]),
    });
    location.reload();
  });
});
