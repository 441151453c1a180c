// Queries to pick from: examples of the schema, and for text queries the beginnings of training points.
import { element } from "./dom.js";

const OFFERED = 12;
const LINE = 64;

export function offerPicks(field, select, schema, examples, onPick) {
  const own = schema === null ? [] : ownExamples(schema).map((query) => [summary(query), query]);
  const previews = examples.map((each) => each.example).filter((each) => each.preview && each.preview.length > 60);
  const name = schema === null ? null : textField(schema);
  const step = Math.max(1, Math.floor(previews.length / OFFERED)); // spread over the documents
  const begun = name === null ? [] : previews.filter((_, i) => i % step === 0).slice(0, OFFERED).map((each) => [summary({ [name]: each.preview }), { [name]: beginning(each.preview) }]);
  const picks = [...own, ...begun];
  const groups = [["Examples", own], ["Beginnings of training points", begun]].filter(([, found]) => found.length);
  let number = 0;
  const options = groups.map(([label, found]) => element("optgroup", { label }, ...found.map(([text]) => element("option", { value: number++ }, text))));
  select.replaceChildren(element("option", { value: "" }, "Choose …"), ...options);
  field.hidden = picks.length === 0;
  select.onchange = () => select.value !== "" && onPick(picks[Number(select.value)][1]);
}

function ownExamples(schema) {
  if (schema.examples?.length) return schema.examples;
  const own = Object.entries(schema.properties ?? {}).filter(([, property]) => property.examples?.length);
  return own.length ? [Object.fromEntries(own.map(([name, property]) => [name, property.examples[0]]))] : [];
}

function textField(schema) {
  const found = Object.entries(schema.properties ?? {}).find(([name, property]) => property.type === "string" && (schema.required ?? []).includes(name));
  return found ? found[0] : null;
}

function beginning(preview) {
  const cut = preview.slice(0, 160);
  const line = cut.lastIndexOf("\n");
  return line > 40 ? cut.slice(0, line + 1) : cut;
}

function summary(query) {
  const text = Object.entries(query).map(([name, value]) => described(name, value)).join(" · ").trim().replace(/\s+/g, " ");
  return text.length > LINE ? `${text.slice(0, LINE)}…` : text;
}

// Long lists, such as an image's pixels, are described by their shape.
function described(name, value) {
  if (typeof value === "string") return value;
  const shape = [];
  for (let part = value; Array.isArray(part); part = part[0]) shape.push(part.length);
  const text = JSON.stringify(value);
  return text.length > LINE && shape.length ? `${name}: ${shape.join(" × ")} values` : text;
}
