// The filter of a question: owner, label, license, ids and attributes.
import { element } from "./dom.js";
import { faultAt } from "./faults.js";

const at = (id) => document.getElementById(id);
export const FILTERS = ["owner", "label", "license", "ids", "attributes"];

// Offers the index's owners, and the licenses and labels that its owners and first training points have.
export function offerFilters(owners, examples) {
  at("owner").replaceChildren(element("option", { value: "" }, "any"), ...owners.map((each) => element("option", { value: each.owner }, each.owner)));
  const offered = (values) => [...new Set(values.filter(Boolean))].sort().map((each) => element("option", { value: each }));
  at("licenses").replaceChildren(...offered(owners.flatMap((each) => each.licenses)));
  at("labels").replaceChildren(...offered(examples.map(({ example }) => example.label)));
}

const listed = (text, separator) => text.split(separator).map((each) => each.trim()).filter(Boolean);

// Returns null where nothing is filtered. An attribute that is no `name = value` is an error at its field.
export function readFilter() {
  const attributes = listed(at("attributes").value, "\n").map(attribute);
  const filter = {
    owner: at("owner").value ? [at("owner").value] : [],
    label: listed(at("label").value, ";"),
    license: listed(at("license").value, ";"),
    id: listed(at("ids").value, "\n"),
  };
  const given = Object.entries(filter).filter(([, values]) => values.length);
  if (attributes.length) given.push(["attributes", Object.fromEntries(attributes)]);
  return given.length ? Object.fromEntries(given) : null;
}

function attribute(line) {
  const split = line.indexOf("=");
  if (split < 1) throw faultAt(at("attributes"), "An attribute needs a name and a value, as in year = 1843.");
  return [line.slice(0, split).trim(), scalar(line.slice(split + 1).trim())];
}

// Numbers, true, false and null are read as such. Quotes make text of them.
function scalar(text) {
  try {
    const value = JSON.parse(text);
    return typeof value === "object" && value !== null ? text : value;
  } catch {
    return text;
  }
}
