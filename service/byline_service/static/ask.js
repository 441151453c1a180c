// The query page at /: choose an index, type or pick a query, read the answer.
// `/?index=NAME&query=JSON` (and k, direction, target, owner, baseline, replicates, tokens) sends the query at once, so that an answer can be linked.
import { get, indexPath, send } from "./api.js";
import { answerView } from "./answer.js";
import { confirmed } from "./confirm.js";
import { element, svg } from "./dom.js";
import { queryForm } from "./form.js";
import { whole } from "./numbers.js";
import { offerPicks } from "./picks.js";
import { postStreaming, progressText } from "./stream.js";
import { RANKINGS } from "./trust.js";

const LONGEST_LINK = 6000;
const at = (id) => document.getElementById(id);
const [form, index, fields, status, answer] = ["form", "index", "fields", "status", "answer"].map(at);
const options = ["k", "direction", "target", "owner", "baseline", "replicates"].map(at);

let query = null; // the form of the chosen index's queries
let asking = null; // aborts the previous query

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
  at("owner").replaceChildren(element("option", { value: "" }, "any"), ...owners.map((each) => element("option", { value: each.owner }, each.owner)));
  offerBaselines(info.baselines);
  at("telling").hidden = !info.tokens;
  at("drawing").hidden = !info.replicates;
  if (!info.replicates) at("replicates").value = "";
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
  return `${rows} by ${whole.format(info.owners)} owners · ${info.recipe}, ${members}`;
}

function ask() {
  let payload;
  try {
    payload = query.read();
  } catch (error) {
    return fail(error.message);
  }
  link(payload);
  return answered(payload, body(payload), null);
}

// One query at a time: a new one ends the previous one.
async function answered(payload, asked, group) {
  asking?.abort();
  asking = new AbortController();
  const { signal } = asking;
  underWay(true);
  try {
    const found = await postStreaming(indexPath(index.value, "/attributions"), asked, signal, showProgress);
    const zoom = (example) => answered(payload, { ...asked, drill_down: true, drill_groups: 1, filter: { id: [example.id] } }, example);
    const back = group ? backView(group, () => answered(payload, body(payload), null)) : null;
    answer.replaceChildren(...[back, ...answerView(found, payload, zoom)].filter(Boolean));
    if (group) answer.focus();
    const count = (found.proponents ?? []).length + (found.opponents ?? []).length;
    said(`${whole.format(count)} ${found.unit === "group" ? "group" : "training point"}${count === 1 ? "" : "s"} found.`);
    at("copy").hidden = group !== null;
    offerBooking(found, asked);
  } catch (error) {
    if (signal.aborted) return;
    fail(error instanceof TypeError ? "The service cannot be reached. Is it still running?" : error.message);
  } finally {
    if (asking.signal === signal) underWay(false);
  }
}

function underWay(now) {
  at("cancel").hidden = !now;
  answer.toggleAttribute("aria-busy", now);
  at("step").textContent = "";
  at("progress").replaceChildren();
  if (!now) return status.classList.remove("busy");
  at("copy").hidden = true;
  if (at("book")) at("book").hidden = true; // absent for keys that cannot book
  said("Asking…");
  status.classList.add("busy");
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

function fail(message) {
  status.className = "status error";
  status.textContent = message;
  answer.replaceChildren();
}

// An answer is payable if it is of the query's own draws, and if its shares cover all rows and have standard errors.
function offerBooking(found, { query: payload, target }) {
  const button = at("book");
  if (!button || !found.shares || found.replicates !== null || found.standard_error_scope === null || !found.shares.coverage.complete) return;
  const words = { title: "Book this answer?", text: "The scores of all owners are stored as an event. The next statement run divides the pool over it.", done: "Book" };
  button.hidden = false;
  button.onclick = () =>
    confirmed(words, async (key) => {
      const event = await send("POST", indexPath(found.index, "/events"), { query: payload, target }, { "Idempotency-Key": key });
      button.hidden = true;
      said(`Booked as event ${event.id}.`);
    });
}

function backView(example, back) {
  const button = element("button", { type: "button", class: "small" }, "Back to the groups");
  button.addEventListener("click", back);
  return element("div", { class: "notice zoom" }, button, element("span", {}, "Points of the group ", element("b", {}, example.id)));
}

function body(payload) {
  const [k, direction, target, owner, baseline, replicates] = options.map((each) => each.value);
  return {
    query: payload,
    k: Number(k) || 10,
    direction,
    target: baseline ? null : target || null,
    baseline: baseline || null,
    filter: owner ? { owner: [owner] } : null,
    shares: !baseline,
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
  options.filter((each) => each.value && !each.disabled).forEach((each) => parameters.set(each.id, each.value));
  if (tellsTokens()) parameters.set("tokens", "true");
  const address = `/?${parameters}`;
  history.replaceState(null, "", address.length < LONGEST_LINK ? address : "/");
}

async function copyLink() {
  const linked = location.search !== "";
  try {
    if (linked) await navigator.clipboard.writeText(location.href);
    said(linked ? "The link is copied." : "This query is too long for a link.");
  } catch {
    said("The link is in the address bar.");
  }
}

async function start() {
  const parameters = new URLSearchParams(location.search);
  const named = parameters.get("index");
  if (named !== null && [...index.options].some((each) => each.value === named)) index.value = named;
  await chooseIndex();
  options.filter((each) => parameters.has(each.id)).forEach((each) => (each.value = parameters.get(each.id)));
  at("tokens").checked = parameters.get("tokens") === "true";
  chooseRanking();
  if (!parameters.has("query") || query === null) return;
  if (parameters.has("baseline") && at("baseline").value !== parameters.get("baseline")) {
    at("baseline").value = "";
    chooseRanking();
    fail("This index does not offer the ranking in this address.");
    return;
  }
  let payload;
  try {
    payload = JSON.parse(parameters.get("query"));
  } catch {
    fail("The query in this address is not JSON.");
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
  chooseIndex().catch((error) => fail(error.message));
});
start().catch((error) => fail(error.message));
