// The query page at /: choose an index, type or pick a query, read the answer.
// `/?index=NAME&query=JSON` (and the options and filters by their ids) sends the query at once, so that a question can be linked.
import { clearFields, get, indexPath, showAtFields } from "./api.js";
import { answerView } from "./answer.js";
import { offerBooking } from "./booking.js";
import { element, svg } from "./dom.js";
import { exportView } from "./exports.js";
import { faultsOf, fieldFinder } from "./faults.js";
import { FILTERS, offerFilters, readFilter } from "./filters.js";
import { queryForm } from "./form.js";
import { imageForm } from "./images.js";
import { whole } from "./numbers.js";
import { offerPicks } from "./picks.js";
import { postStreaming, progressText } from "./stream.js";
import { RANKINGS } from "./trust.js";

const LONGEST_LINK = 6000;
const at = (id) => document.getElementById(id);
const [form, index, fields, status, answer] = ["form", "index", "fields", "status", "answer"].map(at);
const options = ["k", "direction", "target", "baseline", "replicates"].map(at);
const linked = [...options, ...FILTERS.map(at)];

let query = null; // the form of the chosen index's queries
let image = null; // the form of their image
let members = 1; // of the chosen index
let sharing = true; // whether its groups keep owners apart
let asking = null; // aborts the previous query
let shown = null; // the answer on the page: {found, payload, asked, group}

async function chooseIndex() {
  const name = index.value;
  const [info, { data: owners }, { data: examples }] = await Promise.all([
    get(indexPath(name)),
    get(indexPath(name, "/owners?limit=1000")),
    get(indexPath(name, "/examples?limit=200")),
  ]);
  if (index.value !== name) return;
  at("about").textContent = about(info);
  at("target").replaceChildren(...info.targets.map((each) => element("option", { selected: each === info.default_target }, each)));
  offerFilters(owners, examples);
  offerBaselines(info.baselines);
  at("telling").hidden = !info.tokens;
  at("drawing").hidden = !info.replicates;
  if (!info.replicates) at("replicates").value = "";
  image = imageForm(info.query_schema);
  members = info.members.length;
  sharing = info.shares;
  if (info.query_schema === null) {
    query = null;
    fields.replaceChildren(element("p", { class: "notice" }, "This index has no Task that parses queries. Send gradients or features through the API."));
  } else {
    query = queryForm(info.query_schema);
    fields.replaceChildren(...query.elements);
  }
  at("ask").disabled = query === null || "never" in at("ask").dataset;
  offerPicks(at("picking"), at("pick"), info.query_schema, examples, (picked) => query.fill(picked));
}

function offerBaselines(offered) {
  const choices = [["", "influence"], ...offered.map((each) => [each, RANKINGS[each]])];
  at("baseline").replaceChildren(...choices.map(([value, name]) => element("option", { value }, name)));
  at("ranking").hidden = offered.length === 0;
  chooseRanking();
}

// Similarity has no target.
function chooseRanking() {
  const similar = at("baseline").value !== "";
  at("target").disabled = similar;
  at("tokens").disabled = similar;
  at("replicates").disabled = similar;
  at("ranking-hint").hidden = !similar;
}

function about(info) {
  const points = `${whole.format(info.points)} training points`;
  const rows = info.unit === "group" ? `${whole.format(info.rows)} groups of ${points}` : points;
  const members = info.members.length === 1 ? "one member" : `${info.members.length} members`;
  const shares = info.shares ? "" : " · groups mix owners, so there are no shares";
  return `${rows} by ${whole.format(info.owners)} owners · ${info.recipe}, ${members}${shares}`;
}

function ask() {
  clearFields(form);
  let payload, asked;
  try {
    payload = query.read();
    asked = body(payload);
  } catch (error) {
    return fail(error);
  }
  link(payload);
  return answered(payload, asked, null);
}

// One query at a time: a new one ends the previous one. An answer stays until the next one is there.
async function answered(payload, asked, group) {
  asking?.abort();
  asking = new AbortController();
  const { signal } = asking;
  underWay(true);
  try {
    const found = await postStreaming(indexPath(index.value, "/attributions"), asked, signal, showProgress);
    shown = { found, payload, asked, group };
    show(shown);
  } catch (error) {
    if (signal.aborted) return;
    fail(error instanceof TypeError ? new Error("The service cannot be reached. Is it still running?") : error);
  } finally {
    if (asking.signal === signal) underWay(false);
  }
}

function show({ found, payload, asked, group }) {
  const zoom = (example) => answered(payload, { ...asked, drill_down: true, drill_groups: 1, filter: { id: [example.id] } }, example);
  const back = group ? backView(group, () => answered(payload, body(payload), null)) : null;
  answer.replaceChildren(...[back, ...answerView(found, payload, image, zoom)].filter(Boolean));
  if (group) answer.focus();
  const count = (found.proponents ?? []).length + (found.opponents ?? []).length;
  said(`${whole.format(count)} ${found.unit === "group" ? "group" : "training point"}${count === 1 ? "" : "s"} found.`);
}

// The buttons of the answer on the page.
function offerActions({ found, payload, asked, group }) {
  at("copy").hidden = group !== null;
  at("exports").replaceChildren(exportView(found, asked, said));
  at("by-member").hidden = members < 2 || found.baseline !== null || asked.members === true;
  if (at("save")) at("save").hidden = group !== null; // keys that cannot ask have no such button
  if (at("save")) at("save").onclick = () => save(found, asked);
  at("by-member").onclick = () => answered(payload, { ...asked, members: true }, group);
  offerBooking({ button: at("book"), found, query: payload, said, current: () => shown?.found === found && at("cancel").hidden });
}

// Records the answer: it is computed again, and kept as it is given then.
async function save({ index: name }, asked) {
  asking?.abort();
  asking = new AbortController();
  underWay(true);
  try {
    const recorded = await postStreaming(indexPath(name, "/answers"), { question: asked, shared: at("shared").checked }, asking.signal, showProgress);
    location.assign(`/answers/${recorded.id}`);
  } catch (error) {
    if (!asking.signal.aborted) fail(error);
    underWay(false);
  }
}

function underWay(now) {
  at("cancel").hidden = !now;
  answer.toggleAttribute("aria-busy", now);
  at("step").textContent = "";
  at("progress").replaceChildren();
  ["copy", "by-member", "save", "book"].forEach((id) => at(id) && (at(id).hidden = true)); // a key without the scope has no such button
  at("exports").replaceChildren();
  if (now) {
    said("Asking…");
    return status.classList.add("busy");
  }
  status.classList.remove("busy");
  if (shown) offerActions(shown);
}

// A line and a bar show the progress. The status is read aloud, so it changes once only.
function showProgress(progress) {
  at("step").textContent = progressText(progress, whole);
  const width = 200 * Math.min(1, progress.fraction ?? 0);
  at("progress").replaceChildren(svg("rect", { class: "track", width: 200, height: 4 }), svg("rect", { class: "done", width, height: 4 }));
}

function said(text) {
  status.className = "status";
  status.textContent = text;
}

// An error stands at its field and in the status. The answer of before stays.
function fail(error) {
  status.className = "status error";
  status.textContent = shown ? `${error.message} The answer below is to the previous query.` : error.message;
  showAtFields(form, { parts: faultsOf(error) }, fieldFinder(query?.controls ?? {}, linked));
}

function backView(example, back) {
  const button = element("button", { type: "button", class: "small" }, "Back to the groups");
  button.addEventListener("click", back);
  return element("div", { class: "notice zoom" }, button, element("span", {}, "Points of the group ", element("b", {}, example.id)));
}

function body(payload) {
  const [k, direction, target, baseline, replicates] = options.map((each) => each.value);
  return {
    query: payload,
    k: Number(k) || 10,
    direction,
    target: baseline ? null : target || null,
    baseline: baseline || null,
    filter: readFilter(),
    shares: sharing && !baseline,
    tokens: tellsTokens(),
    replicates: baseline ? 0 : Number(replicates),
  };
}

// Scores of an index without positions, and similarities, cannot be taken apart.
function tellsTokens() {
  const { checked, disabled } = at("tokens");
  return checked && !disabled && !at("telling").hidden;
}

// Makes the address a link to this answer, unless it would be too long for a browser.
function link(payload) {
  const parameters = new URLSearchParams({ index: index.value, query: JSON.stringify(payload) });
  linked.filter((each) => each.value && !each.disabled).forEach((each) => parameters.set(each.id, each.value));
  if (tellsTokens()) parameters.set("tokens", "true");
  const address = `/?${parameters}`;
  history.replaceState(null, "", address.length < LONGEST_LINK ? address : "/");
}

async function copyLink() {
  const fits = location.search !== "";
  try {
    if (fits) await navigator.clipboard.writeText(location.href);
    said(fits ? "The link is copied." : "This query is too long for a link.");
  } catch {
    said("The link is in the address bar.");
  }
}

async function start() {
  const parameters = new URLSearchParams(location.search);
  const named = parameters.get("index");
  if (named !== null && [...index.options].some((each) => each.value === named)) index.value = named;
  await chooseIndex();
  linked.filter((each) => parameters.has(each.id)).forEach((each) => (each.value = parameters.get(each.id)));
  at("tokens").checked = parameters.get("tokens") === "true";
  chooseRanking();
  if (!parameters.has("query") || query === null) return;
  if (parameters.has("baseline") && at("baseline").value !== parameters.get("baseline")) {
    at("baseline").value = "";
    chooseRanking();
    fail(new Error("This index does not offer the ranking in this address."));
    return;
  }
  let payload;
  try {
    payload = JSON.parse(parameters.get("query"));
  } catch {
    fail(new Error("The query in this address is not JSON."));
    return;
  }
  query.fill(Object(payload));
  if (!at("ask").disabled) await ask();
}

form.addEventListener("submit", (event) => {
  event.preventDefault();
  if (!at("ask").disabled) ask();
});
form.addEventListener("keydown", (event) => {
  if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) form.requestSubmit();
});
at("baseline").addEventListener("change", chooseRanking);
at("copy").addEventListener("click", copyLink);
at("cancel").addEventListener("click", () => {
  asking.abort();
  underWay(false);
  said("Canceled.");
  at("ask").focus();
});
index.addEventListener("change", () => {
  asking?.abort();
  answer.replaceChildren();
  said("");
  shown = null;
  underWay(false);
  clearFields(form);
  chooseIndex().catch(fail);
});
start().catch(fail);
