// Errors that stand at their field. The previous answer stays.
import { element } from "./dom.js";

let marked = null;

export function clearError() {
  if (!marked) return;
  const { control, message, described } = marked;
  message.remove();
  control.removeAttribute("aria-invalid");
  if (described === null) control.removeAttribute("aria-describedby");
  else control.setAttribute("aria-describedby", described);
  marked = null;
}

// Puts an error below a control, and the focus on it.
export function markError(control, text) {
  clearError();
  const described = control.getAttribute("aria-describedby");
  const message = element("p", { class: "field-error", id: `${control.id}-error` }, text);
  control.after(message);
  control.setAttribute("aria-invalid", "true");
  control.setAttribute("aria-describedby", [described, message.id].filter(Boolean).join(" "));
  control.closest("details")?.setAttribute("open", "");
  control.focus();
  marked = { control, message, described };
}

// The control that an error is about: its own, that of a JSON pointer, or that of the name in the message.
export function controlOf(error, controls, options) {
  if (error.control) return error.control;
  const pointer = error.problem?.errors?.[0]?.pointer ?? "";
  const [, form, name] = pointer.replace(/^#/, "").split("/");
  if (form) return (form === "query" ? controls[name] : options[form === "filter" ? name : form]) ?? null;
  const query = /valid query: (\w+)/.exec(error.message);
  if (query) return controls[query[1]] ?? null;
  const option = /(?:^|: )(?:expected )?(?:filter\.)?(\w+)\b/i.exec(error.message);
  return option ? (options[option[1]] ?? null) : null;
}
