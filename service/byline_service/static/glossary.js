// Terms in answers: `base.html` holds their definitions, and `glossary.html` makes the same buttons on the server.
import { element } from "./dom.js";

export function term(key, text) {
  return element("button", { type: "button", class: "term", popovertarget: `term-${key}` }, text);
}

const WORDS = [["lds", "LDS"], ["interval", "95 % intervals"]];

// A sentence as nodes: the first of its terms becomes a button.
export function explained(text) {
  const found = WORDS.find(([, word]) => text.includes(word));
  if (!found) return [text];
  const [key, word] = found;
  const at = text.indexOf(word);
  return [text.slice(0, at), term(key, word), text.slice(at + word.length)];
}
