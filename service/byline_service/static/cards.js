// The training points of an answer as cards: the query beside the training point, on one scale for all cards.
import { axis, bar, bars } from "./charts.js";
import { element, place } from "./dom.js";
import { short, within } from "./formats.js";
import { term } from "./glossary.js";
import { drawn } from "./images.js";
import { matched } from "./matches.js";
import { noiseView } from "./noise.js";
import { tokenViews } from "./tokens.js";

// shown: {query, image, queryTokens, x, onZoom}
export function listView({ title, meaning, found }, shown) {
  const cards = found.map((each) => card(each, shown));
  const body = cards.length ? element("ol", { class: "cards" }, ...cards) : element("p", { class: "nothing" }, "No training point matches the filter.");
  const head = element("div", { class: "panel-head" }, element("h3", {}, title), element("p", { class: "hint" }, meaning));
  return element("section", { class: "results" }, head, cards.length ? axis(shown.x) : null, body);
}

export function entryOf({ score, interval }) {
  return { value: score, interval };
}

function card(each, shown) {
  const { example, score, interval } = each;
  const head = element(
    "header",
    {},
    element("span", { class: "rank" }, element("span", { class: "quiet" }, "Rank "), String(each.rank)),
    element("span", { class: "owner" }, example.owner ?? (shown.onZoom ? "Several owners" : "No owner")),
    example.license ? element("span", { class: "tag" }, example.license) : null,
    example.label ? element("span", { class: "tag label" }, example.label) : null,
    element("span", { class: "score" }, within(score, interval)),
  );
  const tip = `${example.id}: ${within(score, interval)}${each.standard_error === null ? "" : `, standard error ${short(each.standard_error)}`}`;
  const chart = element("div", { class: "scored", role: "group", "aria-label": `Score of ${example.id}`, tabindex: 0, "data-tips": true }, bar({ ...entryOf(each), tip }, shown.x));
  return element("li", { class: "card" }, head, chart, ...besideView(each, shown), noiseView(each), membersView(each), foot(each, shown));
}

function foot({ example }, { onZoom }) {
  const zoom = onZoom ? element("button", { type: "button", class: "small" }, "Show its points", element("span", { class: "quiet" }, ` (${example.id})`)) : null;
  zoom?.addEventListener("click", () => onZoom(example));
  return element("footer", {}, zoom, example.uri ? place(example.uri) : null, element("span", { class: "id" }, example.id));
}

// The query left, the training point right, as pictures or texts; with tokens both texts are shaded.
function besideView(each, { query, image, queryTokens }) {
  const { example } = each;
  const told = tokenViews(each, queryTokens);
  const asked = queryPicture(query, image);
  const picture = each.image ? thumbnail(each.image, example) : null;
  const own = told.length ? null : queryText(query);
  const shown = told.length ? null : preview(example, own);
  const left = asked ?? (own ? textView(`Query beside ${example.id}`, own, example.preview ?? "") : null);
  const right = picture ?? shown ?? (asked ? element("p", { class: "hint" }, "It has no picture.") : null);
  const sides = left && right ? beside(asked !== null, side("Your query", left), side("Training example", right)) : right;
  return [sides, right === picture ? shown : null, ...told].filter(Boolean);
}

function beside(pictured, ...sides) {
  return element("div", { class: pictured ? "beside pictures" : "beside" }, ...sides);
}

function side(title, content) {
  return element("div", { class: "side" }, element("p", { class: "hint" }, title), content);
}

function preview(example, other) {
  if (!example.preview) return null;
  return textView(`Preview of ${example.id}`, example.preview, other);
}

function textView(label, text, other) {
  const parts = other === null ? [text] : matched(text, other).map(({ text: part, kind }) => (kind ? element("mark", { class: kind }, part) : part));
  return element("pre", { class: "preview", tabindex: 0, role: "region", "aria-label": label }, ...parts);
}

function thumbnail(address, example) {
  return element("img", { class: "thumbnail", src: address, alt: example.preview || `Training example ${example.id}`, loading: "lazy", decoding: "async" });
}

function queryPicture(query, image) {
  const numbers = image ? query?.[image.field] : null;
  return Array.isArray(numbers) ? drawn(numbers, image, "Image of the query") : null;
}

// The texts of a query, with what the model wrote.
function queryText(query) {
  const turns = Array.isArray(query?.messages) ? query.messages.map((each) => each.content) : [];
  const texts = [...turns, query?.text, query?.completion].filter((each) => typeof each === "string" && each !== "");
  return texts.length ? texts.join("") : null;
}

function membersView({ members, example }) {
  if (!members) return null;
  const entries = Object.entries(members).map(([label, value]) => ({ label, value, interval: null, text: short(value) }));
  return element("details", { class: "members" }, element("summary", {}, "Score by member", element("span", { class: "quiet" }, `: ${example.id}`)), element("p", { class: "hint" }, "The score is the mean over the ", term("member", "members"), "."), bars(entries));
}
