// Showing an answer: the prediction, the influencers as cards, the owners' shares, and how far to trust it all.
import { element, place, svg } from "./dom.js";

export const RANKINGS = { bm25: "BM25", representation: "representation" };
const MOST_OWNERS = 25;
const whole = new Intl.NumberFormat("en");
const percent = new Intl.NumberFormat("en", { style: "percent", maximumFractionDigits: 1 });

// Four significant digits, with an exponent only where it helps.
export function short(value) {
  if (value === 0) return "0";
  const size = Math.abs(value);
  const text = size >= 1e5 || size < 1e-3 ? value.toExponential(2) : Number(value.toPrecision(4)).toString();
  return text.replace("-", "\u2212");
}

// The error to two significant digits, and the value to the same place: 628 ± 88.
function plusMinus(value, error) {
  if (error === null) return short(value);
  const places = error > 0 ? 1 - Math.floor(Math.log10(error)) : 0;
  if (error <= 0 || places > 4 || Math.abs(value) >= 1e6) return `${short(value)} ± ${short(error)}`;
  const rounded = (number) => number.toFixed(Math.max(0, places)).replace("-", "\u2212");
  return `${rounded(value)} ± ${rounded(error)}`;
}

function sharePlusMinus(value, error) {
  return error === null ? percent.format(value) : `${percent.format(value)} ± ${percent.format(error)}`;
}

export function answerView(answer, query) {
  const [best, worst] = answer.baseline
    ? [["Most alike", "These are alike to the query, whatever training on them did."], ["Least alike", "These are least like the query."]]
    : [["Proponents", "Training on these raised the target."], ["Opponents", "Training on these lowered the target."]];
  const cards = [
    [...best, answer.proponents, answer.stands_out.proponents],
    [...worst, answer.opponents, answer.stands_out.opponents],
  ].filter(([, , found]) => found !== null);
  return [
    predictionView(answer, query),
    trustView(answer, cards),
    ...cards.map(([title, meaning, found]) => listView(title, meaning, found)),
    answer.shares ? sharesView(answer.shares) : null,
    detailsView(answer),
  ].filter(Boolean);
}

function predictionView(answer, query) {
  const shown = answer.prediction;
  const given = typeof query?.text === "string" ? query.text : null;
  const wrote = shown?.completion ?? query?.completion;
  if (given !== null && typeof wrote === "string") {
    const title = shown ? "The model continued" : "The continuation that is attributed";
    const text = element("pre", { class: "text", tabindex: 0 }, element("span", { class: "given" }, given), element("mark", {}, wrote));
    return element("section", { class: "prediction" }, element("h3", {}, title), text, facts(shown, ["completion"]));
  }
  if (!shown) return null;
  const label = shown.label === undefined ? null : element("p", { class: "label" }, String(shown.label));
  return element("section", { class: "prediction" }, element("h3", {}, "The model predicted"), label, facts(shown, ["label"]));
}

function facts(shown, left) {
  const entries = Object.entries(shown ?? {}).filter(([name, value]) => !left.includes(name) && value !== null);
  if (entries.length === 0) return null;
  const simple = entries.filter(([, value]) => typeof value !== "object");
  const parts = simple.map(([name, value]) =>
    element("div", {}, element("dt", {}, name.replaceAll("_", " ")), element("dd", {}, fact(name, value))),
  );
  return element("dl", { class: "facts" }, ...parts);
}

function fact(name, value) {
  if (typeof value !== "number") return String(value);
  if (!name.endsWith("probability") || (value > 0 && value < 5e-4)) return short(value);
  return percent.format(value);
}

function trustView(answer, cards) {
  const { searched, total, complete } = answer.coverage;
  const notes = [
    ["good", `${complete ? "All" : `${whole.format(searched)} of`} ${whole.format(total)} training points searched${answer.unit === "group" ? ", in groups" : ""}${complete ? "" : " (filtered)"}`],
    [answer.exact ? "good" : "note", answer.exact ? "Exact search" : "Compressed search: candidates by codes, then scored exactly"],
    answer.baseline ? ["note", `Ranked by similarity (${RANKINGS[answer.baseline]}), not by influence: no errors and no shares`] : scopeNote(answer.standard_error_scope),
    ...(answer.quality_card?.figures ?? []).map(({ text }) => ["note", `Measured: ${text}`]),
    ...cards.filter(([, , , clear]) => clear !== null).map(([title, , , clear]) => standsOutNote(title, clear, cards.length)),
  ];
  return element("ul", { class: "trust", "aria-label": "How far this answer can be trusted" }, ...notes.map(([kind, text]) => element("li", { class: kind }, text)));
}

function scopeNote(scope) {
  if (scope === "between_checkpoints") return ["good", "Errors over independent checkpoints"];
  if (scope === "within_checkpoint") return ["note", "Errors over dropout masks of one checkpoint: the variance between trained models is not in them"];
  return ["note", "One member: no standard errors"];
}

function standsOutNote(title, clear, ends) {
  const which = ends > 1 ? ` (${title.toLowerCase()})` : "";
  return clear ? ["good", `The best score stands out from the noise${which}`] : ["warn", `The best score does not stand out from the noise${which}: do not read much into it`];
}

function listView(title, meaning, found) {
  const x = scaleOf(found);
  const cards = found.map((each) => card(each, x));
  const body = cards.length ? element("ol", { class: "cards" }, ...cards) : element("p", { class: "nothing" }, "No training point matches the filter.");
  return element("section", {}, element("h3", {}, title), element("p", { class: "hint" }, meaning), body);
}

// Places 0 and every bar with its error bar; one sign alone gets the whole width.
function scaleOf(found) {
  const ends = found.flatMap(({ score, standard_error: error }) => [score - (error ?? 0), score + (error ?? 0), score]);
  const low = found.some((each) => each.score < 0) ? -most([0, ...ends.map((end) => -end)]) : 0;
  const high = found.some((each) => each.score > 0) ? most([0, ...ends]) : 0;
  const width = high - low || 1;
  return (value) => 1 + (198 * (Math.min(Math.max(value, low), high) - low)) / width;
}

// Math.max takes its numbers as arguments, of which a browser allows only so many.
function most(values) {
  return values.reduce((largest, value) => Math.max(largest, value), -Infinity);
}

function card(each, x) {
  const { example, score, standard_error: error } = each;
  const head = element(
    "header",
    {},
    element("span", { class: "rank", "aria-label": `Rank ${each.rank}` }, String(each.rank)),
    element("span", { class: "owner" }, example.owner ?? "No owner"),
    example.licence ? element("span", { class: "tag" }, example.licence) : null,
    example.label ? element("span", { class: "tag label" }, example.label) : null,
    element("span", { class: "score" }, plusMinus(score, error)),
  );
  const preview = example.preview ? element("pre", { tabindex: 0, "aria-label": "Preview" }, example.preview) : null;
  const foot = element("footer", {}, example.uri ? place(example.uri) : null, element("span", { class: "id" }, example.id));
  return element("li", { class: "card" }, head, bar(score, error, x), preview, foot);
}

// A signed bar with its error bar; the numbers stand beside it.
function bar(score, error, x) {
  const parts = [
    svg("rect", { class: score < 0 ? "minus" : "plus", x: Math.min(x(0), x(score)), y: 2, width: Math.abs(x(score) - x(0)), height: 8 }),
    svg("line", { class: "axis", x1: x(0), x2: x(0), y1: 0, y2: 12 }),
  ];
  if (error !== null) parts.push(svg("path", { class: "whisker", d: `M${x(score - error)} 6H${x(score + error)}M${x(score - error)} 3v6M${x(score + error)} 3v6` }));
  return svg("svg", { class: "bar-chart", viewBox: "0 0 200 12", preserveAspectRatio: "none", "aria-hidden": "true" }, ...parts);
}

function sharesView(shares) {
  const section = (...children) =>
    element("section", {}, element("h3", {}, "Owners\u2019 shares"), element("p", { class: "hint" }, "Each owner\u2019s scores are summed over all of their rows, opponents included and whatever the filter; owners with a positive sum share."), ...children);
  if (shares.positive <= 0) return section(element("p", { class: "nothing" }, "No owner\u2019s sum is positive: there is nothing to share."));
  const shown = shares.owners.slice(0, MOST_OWNERS);
  const largest = most(shown.map((each) => each.share + (each.share_standard_error ?? 0)));
  const rows = shown.map((each) => shareRow(each, largest));
  const left = shares.owners.length - shown.length + (shares.others?.owners ?? 0);
  const head = ["Owner", "Share", "", "Score", "Examples", "Licence"].map((title, i) => element("th", { scope: "col", class: i === 3 || i === 4 ? "number" : null }, title));
  const clipped = shares.clipped / (shares.positive + shares.clipped);
  return section(
    element("div", { class: "scroll" }, element("table", { class: "shares" }, element("thead", {}, element("tr", {}, ...head)), element("tbody", {}, ...rows))),
    left > 0 ? element("p", { class: "hint" }, `${whole.format(left)} more owners are not shown here.`) : null,
    element("p", { class: "hint" }, `Negative sums are clipped to 0: ${percent.format(clipped)} of all mass.`),
  );
}

function shareRow(each, largest) {
  const width = (value) => (100 * Math.max(0, Math.min(value, largest))) / largest;
  const error = each.share_standard_error;
  const parts = [svg("rect", { class: "plus", x: 0, y: 2, width: width(each.share), height: 8, rx: 1 })];
  if (error) parts.push(svg("path", { class: "whisker", d: `M${width(each.share - error)} 6H${width(each.share + error)}M${width(each.share - error)} 3v6M${width(each.share + error)} 3v6` }));
  const chart = svg("svg", { class: "share-chart", viewBox: "0 0 100 12", preserveAspectRatio: "none", "aria-hidden": "true" }, ...parts);
  return element(
    "tr",
    {},
    element("th", { scope: "row" }, each.owner),
    element("td", { class: "number" }, sharePlusMinus(each.share, error)),
    element("td", { class: "chart" }, chart),
    element("td", { class: "number" }, plusMinus(each.score, each.standard_error)),
    element("td", { class: "number" }, whole.format(each.examples)),
    element("td", { class: "licence", title: each.licences.join(", ") }, each.licences.join(", ")),
  );
}

function influenceLines(answer) {
  return [
    ["Recipe", `${answer.recipe} (${answer.recipe_fingerprint.slice(0, 12)})`],
    ["Target", answer.target ?? "as the gradient has it"],
    ["Quality card", answer.quality_card ? answer.quality_card.text : "not measured yet"],
  ];
}

function detailsView(answer) {
  const stages = Object.entries(answer.timings).filter(([, value]) => value > 0);
  const total = stages.reduce((sum, [, value]) => sum + value, 0);
  const lines = [
    ["Index", `${answer.index}, version ${answer.version}`],
    ...(answer.baseline ? [["Baseline", RANKINGS[answer.baseline]]] : influenceLines(answer)),
    ["Time", `${Math.round(total)} ms: ${stages.map(([name, value]) => `${name} ${value < 10 ? value.toFixed(1) : Math.round(value)}`).join(" · ")}`],
  ];
  const parts = lines.map(([name, value]) => element("div", {}, element("dt", {}, name), element("dd", {}, value)));
  return element("section", { class: "details" }, element("dl", { class: "facts" }, ...parts));
}
