// Terms in answers: `base.html` holds their definitions, and `glossary.html` makes the same buttons on the server.
import { element } from "./dom.js";

export function term(key, text) {
  return element("button", { type: "button", class: "term", popovertarget: `term-${key}` }, text);
}
