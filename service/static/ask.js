// The page at /: pick an index, type a query, see who made the model predict it.
// `/?index=NAME&query=JSON` (and k, direction, target, owner, baseline) asks at once, so that an answer can be linked.
import { get, indexPath, post } from "./api.js";
import { answerView, RANKINGS } from "./answer.js";
import { element } from "./dom.js";
import { exampleQuery, queryForm } from "./form.js";

const LONGEST_LINK = 6000;
const at = (id) => document.getElementById(id);
const [form, index, fields, status, answer] = ["form", "index", "fields", "status", "answer"].map(at);
const options = ["k", "direction", "target", "owner", "baseline"].map(at);

let query = null; // the form of the chosen index's queries
let asking = null; // aborts the question before

async function chooseIndex() {
  const name = index.value;
  const [info, { owners }, { examples }] = await Promise.all([
    get(indexPath(name)),
    get(indexPath(name, "/owners")),
    get(indexPath(name, "/examples?limit=50")),
  ]);
  if (index.value !== name) return;
  at("about").textContent = about(info);
  at("target").replaceChildren(...info.targets.map((each) => element("option", { selected: each === info.default_target }, each)));
  at("owner").replaceChildren(element("option", { value: "" }, "any"), ...owners.map((each) => element("option", { value: each.owner }, each.owner)));
  offerBaselines(info.baselines);
  if (info.query_schema === null) {
    query = null;
    fields.replaceChildren(element("p", { class: "hint" }, "This index was opened without a Task that parses queries: send gradients or features through the API."));
  } else {
    query = queryForm(info.query_schema);
    fields.replaceChildren(...query.elements);
  }
  at("ask").disabled = query === null;
  offerExample(info.query_schema, examples);
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
  at("ranking-hint").hidden = !similar;
}

function about(info) {
  const whole = new Intl.NumberFormat("en");
  const points = `${whole.format(info.points)} training points`;
  const rows = info.unit === "group" ? `${whole.format(info.rows)} groups of ${points}` : points;
  const members = info.members.length === 1 ? "one member" : `${info.members.length} members`;
  return `${rows} · ${info.owners} owners · ${info.recipe}, ${members} · version ${info.version}`;
}

function offerExample(schema, examples) {
  const button = at("example");
  const previews = examples.map((each) => each.example.preview).filter((each) => each && each.length > 60);
  const pick = () => schema && exampleQuery(schema, previews[Math.floor(Math.random() * previews.length)]);
  button.hidden = !pick();
  button.onclick = () => {
    query.fill(pick());
    ask();
  };
}

async function ask() {
  let payload;
  try {
    payload = query.read();
  } catch (error) {
    return fail(error.message);
  }
  asking?.abort();
  asking = new AbortController();
  const { signal } = asking;
  link(payload);
  status.className = "status busy";
  status.textContent = "Asking…";
  answer.setAttribute("aria-busy", "true");
  try {
    const found = await post(indexPath(index.value, "/attributions"), body(payload), signal);
    answer.replaceChildren(...answerView(found, payload));
    const count = (found.proponents ?? []).length + (found.opponents ?? []).length;
    status.className = "status";
    status.textContent = `${count} training point${count === 1 ? "" : "s"} found.`;
  } catch (error) {
    if (signal.aborted) return;
    fail(error instanceof TypeError ? "The service cannot be reached. Is it still running?" : error.message);
  } finally {
    if (!signal.aborted) answer.removeAttribute("aria-busy");
  }
}

function body(payload) {
  const [k, direction, target, owner, baseline] = options.map((each) => each.value);
  return {
    query: payload,
    k: Number(k) || 10,
    direction,
    target: baseline ? null : target || null,
    baseline: baseline || null,
    filter: owner ? { owner: [owner] } : null,
    shares: !baseline,
  };
}

function fail(message) {
  status.className = "status error";
  status.textContent = message;
  answer.replaceChildren();
}

// Keeps the address a link to this answer, unless that would be too long for a browser.
function link(payload) {
  const parameters = new URLSearchParams({ index: index.value, query: JSON.stringify(payload) });
  options.filter((each) => each.value && !each.disabled).forEach((each) => parameters.set(each.id, each.value));
  const address = `/?${parameters}`;
  history.replaceState(null, "", address.length < LONGEST_LINK ? address : "/");
}

async function start() {
  const parameters = new URLSearchParams(location.search);
  const named = parameters.get("index");
  if (named !== null && [...index.options].some((each) => each.value === named)) index.value = named;
  await chooseIndex();
  options.filter((each) => parameters.has(each.id)).forEach((each) => (each.value = parameters.get(each.id)));
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
  await ask();
}

form.addEventListener("submit", (event) => {
  event.preventDefault();
  if (query !== null) ask();
});
form.addEventListener("keydown", (event) => {
  if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) form.requestSubmit();
});
at("baseline").addEventListener("change", chooseRanking);
index.addEventListener("change", () => {
  answer.replaceChildren();
  status.textContent = "";
  chooseIndex().catch((error) => fail(error.message));
});
start().catch((error) => fail(error.message));
