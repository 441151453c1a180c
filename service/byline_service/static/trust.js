// How far an answer can be trusted, in plain words: what was searched, what errors cover, what was measured.
import { element } from "./dom.js";
import { percent, whole } from "./numbers.js";

const CHANCE_IS_ZERO = new Set(["lds", "loo"]);
export const RANKINGS = { bm25: "BM25", representation: "representation" };

export function trustView(answer, ends) {
  const notes = [
    ...ends.filter(({ clear }) => clear !== null).map((end) => standsOut(end, ends.length)),
    searched(answer),
    errors(answer),
    ...(answer.standard_error_units === null ? [] : ends.map((end) => picked(end, ends.length))),
    measured(answer),
    scored(answer),
  ];
  const items = notes.map(([kind, title, text]) => element("li", { class: kind }, element("b", {}, title), element("span", {}, text)));
  const warnings = notes.filter(([kind]) => kind === "warn").length;
  const verdict = warnings ? "There are reasons to be careful." : "Nothing speaks against this answer.";
  return element(
    "section",
    { class: "panel trust", "aria-labelledby": "trust-title" },
    element("h3", { id: "trust-title" }, "How far can you trust this?"),
    element("p", { class: "verdict" }, verdict),
    element("ul", {}, ...items),
  );
}

// Percent is rounded down: what is told is what is at least expected.
function scored({ exact, search }) {
  if (exact || !search) return ["good", "Exact search", "Every row was scored with its stored vector."];
  const percent = Math.floor(search.expected_recall * 1e4) / 100;
  const text = `Codes chose ${whole.format(search.candidates)} candidates. At least ${percent} % of the best rows are expected to be among them.`;
  return [percent < 99 ? "warn" : "note", "Compressed search", text];
}

function standsOut({ title, clear }, ends) {
  const which = ends > 1 ? ` (${title.toLowerCase()})` : "";
  return clear
    ? ["good", `The best score stands out${which}`, "It lies further out than noise alone would reach."]
    : ["warn", `The best score does not stand out${which}`, "Noise alone could reach it: do not read much into the order."];
}

// The best of many were also lucky: the estimate comes from scoring them by a model that took no part in picking them.
function picked({ title, luck }, ends) {
  const which = ends > 1 ? ` (${title.toLowerCase()})` : "";
  if (luck === null) return ["note", `The best scores are too strong${which}`, "They were picked for it among many; by how much is not known here."];
  if (luck < 0.005) return ["good", `The best scores owe little to luck${which}`, "A model that took no part in picking them scores them as high, to less than 1 %."];
  return ["note", `The best scores are too strong${which}`, `By about ${percent.format(luck)} on average, since they were picked for it. Their intervals allow for that.`];
}

function searched({ coverage, unit, drilled_groups: drilled }) {
  const { searched: some, total, complete } = coverage;
  const inGroups = unit === "group" ? ", in groups" : "";
  if (complete) return ["good", "The whole training set was searched", `All ${whole.format(total)} points${inGroups} could have come back.`];
  if (drilled) return ["note", `${whole.format(some)} of ${whole.format(total)} points were scored`, `Those of ${drilled === 1 ? "one group" : `${whole.format(drilled)} groups`}. Others may have scored higher.`];
  return ["note", `${whole.format(some)} of ${whole.format(total)} points were searched`, "The filter left the others out."];
}

function errors({ baseline, standard_error_scope: scope, standard_error_units: units }) {
  if (baseline) return ["note", `Ranked by similarity (${RANKINGS[baseline]}), not by influence`, "There are no errors and no shares."];
  const shown = "Intervals are of 95 %";
  if (scope === "between_checkpoints") return ["good", "Errors cover the training", `${shown}, from ${whole.format(units)} models that were trained independently.`];
  if (scope === "within_checkpoint") return ["note", "Errors cover one training only", `${shown}, from ${whole.format(units)} adapters or dropout masks of one model. Another training could differ by more.`];
  return ["note", "No errors", "With a single model there is no telling how much chance is in the scores."];
}

// A figure is about the target that was measured, and about no other one.
function measured({ baseline, quality_card: card, target }) {
  if (baseline) return ["note", "Not measured", "The quality card is about influence scores."];
  if (!card) return ["warn", "Nobody has measured this index", "Whether its scores predict what retraining would do is not known."];
  const own = card.figures.filter((each) => each.target === target);
  const told = (own.length ? own : card.figures).map(({ text }) => text).join("; ");
  if (own.length === 0) return ["warn", "Measured for another target", `Nobody has measured ${target ? `the target ${target}` : "what this gradient attributes"}. Of ${card.figures[0].target}: ${told}`];
  if (own.some(({ metric, interval }) => CHANCE_IS_ZERO.has(metric) && interval && interval[0] <= 0)) return ["warn", "Not shown to be better than chance", `The interval holds 0: ${told}`];
  return ["good", "Measured against retrained models", `Measured: ${told}`];
}
