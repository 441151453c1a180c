// Recording a party.
import { send } from "./api.js";
import { during } from "./confirm.js";
import { faultAt } from "./faults.js";

const form = document.querySelector("form[data-party-form]");

function chosen(values, names) {
  return Object.fromEntries(names.map((name) => [name, values.get(name).trim() || null]));
}

// An identifier with a wrong check digit is named in the message.
function atIdentifier(error) {
  const named = /valid (\w+),/.exec(error.message);
  const field = named && form.elements.namedItem(named[1].toLowerCase());
  return field ? faultAt(field, error.message) : error;
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
    }).catch((error) => {
      throw error.parts?.length ? error : atIdentifier(error);
    });
    location.reload();
  });
});
