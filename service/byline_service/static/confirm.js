// The confirmation dialog; a repeated press has no further effect.
import { clearFields, showAtFields } from "./api.js";

// One key per request: a repeated press, or a retry after a lost answer, is the same request.
export function freshKey() {
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  return [...bytes].map((byte) => byte.toString(16).padStart(2, "0")).join("");
}

export function tell(status, text, kind = "") {
  status.className = `status ${kind}`;
  status.textContent = text;
}

// The words of an error that belong to no field of the form. The others stand at their fields.
function wordsOf(error, form) {
  if (error instanceof TypeError) return "The service cannot be reached. Try again.";
  if (!form || !error.parts?.length) return error.message;
  return showAtFields(form, error).join(" ") || "Nothing is stored. Change the marked fields.";
}

// Runs an action while its dialog is open, and shows its error there.
export async function during(dialog, status, action) {
  const buttons = [...dialog.querySelectorAll("button")];
  const form = status.closest("form");
  if (form) clearFields(form);
  buttons.forEach((each) => (each.disabled = true));
  tell(status, "Working…", "busy");
  try {
    await action();
  } catch (error) {
    tell(status, wordsOf(error, form), "error");
    buttons.forEach((each) => (each.disabled = false));
    return;
  }
  tell(status, "");
  buttons.forEach((each) => (each.disabled = false));
}

// action(key) runs after confirmation; the dialog closes when it succeeds.
export function confirmed({ title, text, done }, action) {
  const at = (id) => document.getElementById(id);
  const dialog = at("confirm");
  const key = freshKey();
  at("confirm-title").textContent = title;
  at("confirm-text").textContent = text;
  at("confirm-go").textContent = done;
  tell(at("confirm-status"), "");
  dialog.querySelector("form").onsubmit = (event) => {
    event.preventDefault();
    during(dialog, at("confirm-status"), async () => {
      await action(key);
      dialog.close();
    });
  };
  dialog.showModal();
}

for (const button of document.querySelectorAll("[data-close]")) {
  button.addEventListener("click", () => button.closest("dialog").close());
}
