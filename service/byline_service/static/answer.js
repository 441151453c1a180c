// The view of an answer: prediction, trust, examples as cards, owners' shares, and timings.
import { entryOf, listView } from "./cards.js";
import { bars, figure, key, scaleOf, stacked } from "./charts.js";
import { element } from "./dom.js";
import { milliseconds, shareWithin, short, within } from "./formats.js";
import { term } from "./glossary.js";
import { percent, whole } from "./numbers.js";
import { blendText, RANKINGS, trustView } from "./trust.js";

const DRAWN_OWNERS = 7;

// image: the form of the query's image, or null. onZoom(example) is called to show the points of a group, if there is one.
export function answerView(answer, query, image, onZoom) {
  const ends = endsOf(answer);
  const asked = answer.prediction?.completion ? { ...query, completion: answer.prediction.completion } : query;
  const shown = {
    query: asked,
    image,
    queryTokens: answer.query_tokens,
    x: scaleOf(ends.flatMap(({ found }) => found.map(entryOf))),
    onZoom: answer.unit === "group" ? onZoom : null,
  };
  return [
    predictionView(answer, query),
    element("div", { class: answer.shares ? "pair" : null }, trustView(answer, ends), answer.shares ? sharesView(answer) : null),
    ...ends.map((end) => listView(end, shown)),
    detailsView(answer),
  ].filter(Boolean);
}

function meanings({ baseline, blend }) {
  if (blend) return [["Highest blend", `The highest ${blendText(blend)}: similarity adds to influence.`], ["Lowest blend", `The lowest ${blendText(blend)}: dissimilarity subtracts from influence.`]];
  if (baseline) return [["Most similar", "The most similar examples to the query, regardless of the effect of training on them."], ["Least similar", "The least similar examples to the query."]];
  return [["Proponents", "Training on these examples raised the target."], ["Opponents", "Training on these examples lowered the target."]];
}

function endsOf(shown) {
  const { proponents, opponents, stands_out: clear, optimism } = shown;
  const [best, worst] = meanings(shown);
  return [
    { title: best[0], meaning: best[1], found: proponents, clear: clear.proponents, luck: optimism.proponents },
    { title: worst[0], meaning: worst[1], found: opponents, clear: clear.opponents, luck: optimism.opponents },
  ].filter(({ found }) => found !== null);
}

function predictionView(answer, query) {
  const shown = answer.prediction;
  const given = typeof query?.text === "string" ? query.text : null;
  const wrote = shown?.completion ?? query?.completion;
  if (given !== null && typeof wrote === "string") {
    const title = shown ? "The model continued" : "The attributed continuation";
    const text = element("pre", { class: "text", tabindex: 0, role: "region", "aria-label": title }, element("span", { class: "given" }, given), element("mark", {}, wrote));
    return predicted(title, text, facts(shown, ["completion"]));
  }
  if (!shown) return null;
  const label = shown.label === undefined ? null : element("p", { class: "label" }, String(shown.label));
  return predicted("The model predicted", label, facts(shown, ["label"]));
}

function predicted(title, ...children) {
  return element("section", { class: "panel prediction" }, element("h3", {}, title), ...children);
}

function facts(shown, left) {
  const entries = Object.entries(shown ?? {}).filter(([name, value]) => !left.includes(name) && value !== null && typeof value !== "object");
  if (entries.length === 0) return null;
  const parts = entries.map(([name, value]) => element("div", {}, element("dt", {}, name.replaceAll("_", " ")), element("dd", {}, fact(name, value))));
  return element("dl", { class: "facts" }, ...parts);
}

function fact(name, value) {
  if (typeof value !== "number") return String(value);
  if (!name.endsWith("probability") || (value > 0 && value < 5e-4)) return short(value);
  return percent.format(value);
}

function sharesView({ index, shares }) {
  const section = (...children) =>
    element(
      "section",
      { class: "panel", "aria-labelledby": "shares-title" },
      element("h3", { id: "shares-title" }, "Owners\u2019 shares"),
      element("p", { class: "hint" }, "Each owner\u2019s ", term("score", "scores"), " are summed over all rows, including opponents and regardless of the filter. Owners with a positive sum have a ", term("share", "share"), "."),
      ...children,
    );
  if (shares.positive <= 0) return section(element("p", { class: "nothing" }, "No owner has a positive sum, so there are no shares."));
  const due = shares.owners.filter((each) => each.share > 0);
  const drawn = due.slice(0, DRAWN_OWNERS);
  const picture = bars(drawn.map((each) => ({ label: each.owner, value: each.share, interval: each.share_interval, text: shareWithin(each.share, each.share_interval) })));
  const label = `Owners\u2019 shares of this answer, the largest is ${drawn[0].owner} with ${percent.format(drawn[0].share)}`;
  const left = due.length - drawn.length + (shares.others?.share > 0 ? shares.others.owners : 0);
  const none = shares.owners.length - due.length;
  const clipped = shares.clipped / (shares.positive + shares.clipped);
  const notes = [
    left > 0 ? `${whole.format(left)} more owners have smaller shares.` : null,
    none > 0 ? `${none === 1 ? "One owner has" : `${whole.format(none)} owners have`} a negative sum and no share: ${percent.format(clipped)} of the total is clipped to 0.` : null,
    shares.coverage.complete ? null : `${whole.format(shares.coverage.total - shares.coverage.searched)} points have no owner and no share.`,
  ];
  return section(figure(label, picture, sharesTable(index, shares)), element("p", { class: "hint" }, notes.filter(Boolean).join(" ")));
}

function sharesTable(index, { owners }) {
  const columns = [{ title: "Owner" }, { title: "Share", number: true }, { title: "Score", number: true }, { title: "Examples", number: true }, { title: "License" }];
  const rows = owners.map((each) => [
    each.owner,
    shareWithin(each.share, each.share_interval),
    within(each.score, each.interval),
    whole.format(each.examples),
    each.licenses.join(", "),
  ]);
  const names = ["owner", "share", "share_standard_error", "share_low", "share_high", "score", "standard_error", "low", "high", "examples", "licenses"];
  const data = owners.map((each) => [
    each.owner,
    each.share,
    each.share_standard_error,
    ...(each.share_interval ?? [null, null]),
    each.score,
    each.standard_error,
    ...(each.interval ?? [null, null]),
    each.examples,
    each.licenses.join("; "),
  ]);
  return { columns, rows, file: `${index}-shares`, data: [names, ...data] };
}

function influenceLines(answer) {
  return [
    ["Recipe", `${answer.recipe} (${answer.recipe_fingerprint.slice(0, 12)})`],
    [term("target", "Target"), answer.target ?? "chosen by the gradient"],
  ];
}

function detailsView(answer) {
  const stages = Object.entries(answer.timings).filter(([, value]) => value >= 0.05);
  const total = stages.reduce((sum, [, value]) => sum + value, 0);
  const lines = [
    ["Index", element("a", { href: `/indexes/${encodeURIComponent(answer.index)}` }, answer.index)],
    ["Version", element("span", { class: "code" }, answer.version)],
    ...(answer.baseline ? [["Baseline", answer.blend ? blendText(answer.blend) : RANKINGS[answer.baseline]]] : []),
    ...(answer.recipe ? influenceLines(answer) : []),
    ["Time", milliseconds(total)],
  ];
  const parts = lines.map(([name, value]) => element("div", {}, element("dt", {}, name), element("dd", {}, value)));
  const keys = stages.map(([name, value], i) => key(i, name, milliseconds(value)));
  return element(
    "section",
    { class: "panel timing", "aria-labelledby": "details-title" },
    element("h3", { id: "details-title" }, "Details"),
    element("dl", { class: "facts" }, ...parts),
    element("div", { class: "chart", role: "group", "aria-label": "Time by stage as a bar", tabindex: 0, "data-tips": true }, stacked(stages.map(([name, value]) => [name, value, `${name}: ${milliseconds(value)}`]))),
    element("ul", { class: "keys", "aria-label": "Time by stage" }, ...keys),
  );
}
