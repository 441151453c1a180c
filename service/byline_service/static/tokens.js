// The view of a score token by token: two shaded texts, the strongest tokens with their numbers, and what was copied.
import { element, svg } from "./dom.js";
import { short } from "./formats.js";

const LEVELS = 5;
const STRONGEST = 5;

// Returns the elements of one training point, or none if its tokens were not requested.
export function tokenViews({ tokens, score, example }, queryTokens) {
  if (!tokens) return [];
  const placesOf = (start) => new Set(tokens.copied.flatMap((run) => Array.from({ length: run.length }, (_, i) => run[start] + i)));
  if (tokens.grid !== null) return patchViews(tokens, example);
  return [
    element(
      "div",
      { class: "beside" },
      shadedText("What each word of the query owes to it", queryTokens, tokens.query_parts, placesOf("query_start"), example),
      tokens.texts === null
        ? element("p", { class: "hint" }, "This training point shows no text.")
        : shadedText("What each word of it did", tokens.texts, tokens.training_parts, placesOf("training_start"), example),
    ),
    copiedLine(tokens, score),
  ].filter(Boolean);
}

function patchViews(tokens, example) {
  const { grid, query_parts: query, training_parts: training } = tokens;
  return [
    element("div", { class: "beside" }, patches("What each patch of the query owes to it", query, grid, example), patches("What each patch of it did", training, grid, example)),
    element("p", { class: "hint" }, `In no patch: ${signed(tokens.query_rest)} of the query, ${signed(tokens.training_rest)} of the training image.`),
  ];
}

// A grid of squares with their signs. The numbers of the strongest stand below by row and column.
function patches(title, scores, [rows, columns], example) {
  const size = 24;
  const names = scores.map((_, i) => `${Math.floor(i / columns) + 1}:${(i % columns) + 1}`);
  const squares = shadesOf(scores).flatMap((shade, i) => {
    const [x, y] = [(i % columns) * size, Math.floor(i / columns) * size];
    const sign = shade === null ? "" : shade.startsWith("p") ? "+" : "\u2212";
    return [svg("rect", { class: shade, x, y, width: size, height: size, "data-tip": `${names[i]}: ${signed(scores[i])}` }), svg("text", { x: x + size / 2, y: y + size / 2 + 4 }, sign)];
  });
  const whole = { viewBox: `0 0 ${columns * size} ${rows * size}`, width: columns * size, height: rows * size };
  const picture = svg("svg", { class: "patches", role: "img", "aria-label": `${title}: ${example.id}`, ...whole }, ...squares);
  return element("div", { class: "told" }, element("p", { class: "hint" }, `${title}, by row and column`), picture, strongest(names, scores));
}

// One class a part: p1 to p5, m1 to m5, or null for parts that are small beside the largest one.
function shadesOf(scores) {
  const largest = Math.max(...scores.map(Math.abs), 0) || 1;
  return scores.map((score) => {
    const level = Math.round((LEVELS * score) / largest);
    return level > 0 ? `p${level}` : level < 0 ? `m${-level}` : null;
  });
}

function shadedText(title, texts, scores, copied, example) {
  const shades = shadesOf(scores);
  const spans = texts.map((text, i) => {
    const classes = [shades[i], copied.has(i) ? "copied" : null].filter(Boolean).join(" ");
    return element("span", { class: classes || null, "data-tip": scores[i] === 0 ? null : `${text.trim()}: ${signed(scores[i])}` }, text);
  });
  return element(
    "div",
    { class: "told" },
    element("p", { class: "hint" }, title),
    element("pre", { class: "preview tokens", tabindex: 0, "data-tips": true, role: "region", "aria-label": `${title}: ${example.id}` }, ...spans),
    strongest(texts, scores),
  );
}

function strongest(texts, scores) {
  const named = texts
    .map((text, i) => [text.trim(), scores[i]])
    .filter(([text, part]) => text && part !== 0)
    .sort((one, other) => Math.abs(other[1]) - Math.abs(one[1]))
    .slice(0, STRONGEST)
    .map(([text, part]) => element("li", {}, element("code", {}, text), ` ${signed(part)}`));
  return element("ul", { class: "strongest", "aria-label": "Strongest parts" }, ...named);
}

function copiedLine({ copied, copied_score: part }, score) {
  if (copied.length === 0 || part === null) return null;
  return element("p", { class: "hint" }, element("span", { class: "copied" }, "Word for word in both"), `: ${signed(part)} of ${signed(score)}. Learned from other words: ${signed(score - part)}.`);
}

function signed(value) {
  return value > 0 ? `+${short(value)}` : short(value);
}
