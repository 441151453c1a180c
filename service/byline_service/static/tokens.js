// The view of a score token by token: two shaded texts, the strongest tokens with their numbers, and what was copied.
import { element } from "./dom.js";
import { short } from "./formats.js";

const LEVELS = 5;
const STRONGEST = 5;

// Returns the elements of one training point, or none if its tokens were not requested.
export function tokenViews({ tokens, score, example }, queryTokens) {
  if (!tokens) return [];
  const placesOf = (start) => new Set(tokens.copied.flatMap((run) => Array.from({ length: run.length }, (_, i) => run[start] + i)));
  return [
    shadedText("What each word of the query owes to it", queryTokens, tokens.query_parts, placesOf("query_start"), example),
    tokens.texts === null
      ? element("p", { class: "hint" }, "This training point shows no text.")
      : shadedText("Which of its words did it", tokens.texts, tokens.training_parts, placesOf("training_start"), example),
    copiedLine(tokens, score),
  ].filter(Boolean);
}

function shadedText(title, texts, scores, copied, example) {
  const largest = Math.max(...scores.map(Math.abs), 0) || 1;
  const spans = texts.map((text, i) => {
    const level = Math.round((LEVELS * scores[i]) / largest);
    const shade = level > 0 ? `p${level}` : level < 0 ? `m${-level}` : null;
    const classes = [shade, copied.has(i) ? "copied" : null].filter(Boolean).join(" ");
    return element("span", { class: classes || null, title: scores[i] === 0 ? null : short(scores[i]) }, text);
  });
  const named = texts
    .map((text, i) => [text.trim(), scores[i]])
    .filter(([text, part]) => text && part !== 0)
    .sort((one, other) => Math.abs(other[1]) - Math.abs(one[1]))
    .slice(0, STRONGEST)
    .map(([text, part]) => element("li", {}, element("code", {}, text), ` ${signed(part)}`));
  return element(
    "div",
    { class: "told" },
    element("p", { class: "hint" }, title),
    element("pre", { class: "preview tokens", tabindex: 0, role: "region", "aria-label": `${title}: ${example.id}` }, ...spans),
    element("ul", { class: "strongest", "aria-label": "Strongest words" }, ...named),
  );
}

function copiedLine({ copied, copied_score: part }, score) {
  if (copied.length === 0 || part === null) return null;
  return element("p", { class: "hint" }, element("span", { class: "copied" }, "Word for word in both"), `: ${signed(part)} of ${signed(score)}. Learned from other words: ${signed(score - part)}.`);
}

function signed(value) {
  return value > 0 ? `+${short(value)}` : short(value);
}
