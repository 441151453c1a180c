// The trust panel of an answer: search, standard errors and measurements.
import { element } from "./dom.js";
import { explained } from "./glossary.js";
import { percent, whole } from "./numbers.js";

const CHANCE_IS_ZERO = new Set(["lds", "loo", "owner"]);
export const RANKINGS = { bm25: "BM25", representation: "representation", blend: "blend of influence and similarity" };

export function trustView(answer, ends) {
  const notes = [
    ...ends.filter(({ clear }) => clear !== null).map((end) => standsOut(end, ends.length)),
    searched(answer),
    errors(answer),
    ...(answer.standard_error_units === null ? [] : ends.map((end) => picked(end, ends.length))),
    measured(answer),
    scored(answer),
  ];
  const items = notes.map(([kind, title, text]) => element("li", { class: kind }, element("b", {}, title), element("span", {}, ...explained(text))));
  const warnings = notes.filter(([kind]) => kind === "warn").length;
  const verdict = warnings ? "Some points need caution." : "No warnings for this answer.";
  return element(
    "section",
    { class: "panel trust", "aria-labelledby": "trust-title" },
    element("h3", { id: "trust-title" }, "Trust"),
    element("p", { class: "verdict" }, verdict),
    element("ul", {}, ...items),
  );
}

// The percentage is rounded down, as a lower bound.
function scored({ exact, search }) {
  if (exact || !search) return ["good", "Exact search", "Every row was scored with its stored vector."];
  const percent = Math.floor(search.expected_recall * 1e4) / 100;
  const text = `Codes chose ${whole.format(search.candidates)} candidates. At least ${percent} % of the best rows are expected to be among them.`;
  return [percent < 99 ? "warn" : "note", "Compressed search", text];
}

function standsOut({ title, clear }, ends) {
  const which = ends > 1 ? ` (${title.toLowerCase()})` : "";
  return clear
    ? ["good", `The best score stands out${which}`, "It lies outside the range of noise."]
    : ["warn", `The best score does not stand out${which}`, "Noise alone could produce it, so the order is not reliable."];
}

// The best of many scores are also lucky. The estimate scores them by a model that was not used to choose them.
function picked({ title, luck }, ends) {
  const which = ends > 1 ? ` (${title.toLowerCase()})` : "";
  if (luck === null) return ["note", `The best scores are too high${which}`, "They were chosen as the largest of many. The bias is not known here."];
  if (luck < 0.005) return ["good", `The best scores are hardly biased${which}`, "A model that was not used to choose them gives the same scores, to less than 1 %."];
  return ["note", `The best scores are too high${which}`, `By about ${percent.format(luck)} on average, since they were chosen as the largest. Their intervals include this bias.`];
}

function searched({ coverage, unit, drilled_groups: drilled }) {
  const { searched: some, total, complete } = coverage;
  const inGroups = unit === "group" ? ", in groups" : "";
  if (complete) return ["good", "The whole training set was searched", `All ${whole.format(total)} points${inGroups} were candidates.`];
  if (drilled) return ["note", `${whole.format(some)} of ${whole.format(total)} points were scored`, `The points of ${drilled === 1 ? "one group" : `${whole.format(drilled)} groups`}. Others may score higher.`];
  return ["note", `${whole.format(some)} of ${whole.format(total)} points were searched`, "The filter excluded the others."];
}

function errors({ baseline, blend, standard_error_scope: scope, standard_error_units: units }) {
  if (blend) return ["note", `Ranked by ${blendText(blend)}, as z-scores`, "A blend may predict retraining better. It is no attribution by gradients alone. There are no standard errors and no shares."];
  if (baseline) return ["note", `Ranked by similarity (${RANKINGS[baseline]}), not by influence`, "There are no standard errors and no shares."];
  const shown = "95 % intervals";
  if (scope === "between_checkpoints") return ["good", "Errors include the variance of training", `${shown}, from ${whole.format(units)} independently trained models.`];
  if (scope === "within_checkpoint") return ["note", "Errors within one training only", `${shown}, from ${whole.format(units)} adapters or dropout masks of one model. Another training could differ more.`];
  return ["note", "No errors", "A single model does not show how much the scores vary by chance."];
}

export function blendText({ baseline, weight }) {
  return `influence + ${weight} × ${RANKINGS[baseline]}`;
}

// A figure holds for the measured target only.
function measured({ baseline, blend, quality_card: card, target }) {
  if (blend) return ["note", "Not measured here", "The evaluation of this index measures its blend beside its influence scores."];
  if (baseline) return ["note", "Not measured", "The quality card covers influence scores only."];
  if (!card) return ["warn", "This index is not measured", "It is not known whether its scores predict the effect of retraining."];
  const own = card.figures.filter((each) => each.target === target);
  const figures = (own.length ? own : card.figures).map(({ text }) => text).join("; ");
  if (own.length === 0) return ["warn", "Measured for another target", `${target ? `The target ${target}` : "The target of this gradient"} is not measured. For ${card.figures[0].target}: ${figures}`];
  if (own.some(({ metric, interval }) => CHANCE_IS_ZERO.has(metric) && interval && interval[0] <= 0)) return ["warn", "Not shown to be better than chance", `The interval includes 0: ${figures}`];
  const rivals = [...new Set(own.flatMap((each) => each.not_better_than))].map((name) => RANKINGS[name] ?? name);
  if (rivals.length) return ["warn", `Not better than ${rivals.join(" or ")} here`, `Similarity predicts the effect of retraining as well, without gradients: ${figures}`];
  return ["good", "Measured against retrained models", `Measured: ${figures}`];
}
