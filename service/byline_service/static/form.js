// A form for queries, made from the JSON schema of an index.
import { element } from "./dom.js";
import { faultAt } from "./faults.js";
import { imageControl } from "./image_field.js";

const LONG = 120;

// Returns the fields' elements and functions that read and fill them.
export function queryForm(schema) {
  const fields = Object.entries(schema.properties ?? {}).map(([name, property]) =>
    field(name, resolved(property, schema), (schema.required ?? []).includes(name)),
  );
  return {
    elements: fields.map((each) => each.element),
    read: () => Object.assign({}, ...fields.map((each) => each.read())),
    fill: (query) => fields.forEach((each) => each.fill(query[each.name])),
    controls: Object.fromEntries(fields.map((each) => [each.name, each.control])),
  };
}

// Follows references, and takes the first alternative that is not null.
function resolved(property, schema) {
  let found = property;
  if (found.$ref) found = { ...schema.$defs[found.$ref.split("/").pop()], ...property };
  const choices = found.anyOf ?? found.oneOf ?? [];
  const kinds = choices.map((each) => resolved(each, schema)).filter((each) => each.type !== "null");
  if (kinds.length === 0) return found;
  const kind = kinds.length === 1 ? kinds[0] : { anyOf: kinds };
  return { ...kind, ...found, anyOf: kind.anyOf, several: kinds.length > 1 };
}

function field(name, property, required) {
  const id = `query-${name}`;
  const kind = kindOf(property);
  const control = kind.control({ ...property, required });
  control.id = id;
  if (required) control.setAttribute("aria-required", "true");
  const hint = property.description ? element("p", { class: "hint", id: `${id}-hint` }, property.description) : null;
  if (hint) control.setAttribute("aria-describedby", hint.id);
  const title = (property.title ?? name).replaceAll("_", " ");
  const label = element("label", { for: id }, title, required ? null : element("span", { class: "optional" }, " optional"));
  const read = () => {
    if (control.value === "" && !(required && kind === TEXT)) return {};
    try {
      return { [name]: kind.read(control.value) };
    } catch {
      throw faultAt(control, `${title} needs ${kind.needs}.`);
    }
  };
  const fill = (value) => {
    const filled = value ?? property.default ?? null;
    control.value = filled === null ? "" : kind.write(filled);
    control.dispatchEvent(new Event("input"));
  };
  const around = property["x-image"] ? imageControl(control, property["x-image"], title) : null;
  return { name, control, read, fill, element: element("div", { class: "field" }, label, control, around, hint) };
}

const TEXT = {
  control: (property) =>
    (property.maxLength ?? Infinity) > LONG
      ? element("textarea", { rows: property.required ? 6 : 2, spellcheck: "false" })
      : element("input", { type: "text", autocomplete: "off", spellcheck: "false" }),
  read: (value) => value,
  write: String,
};
const NUMBER = {
  control: (property) =>
    element("input", { type: "number", step: property.type === "integer" ? 1 : "any", min: property.minimum, max: property.maximum }),
  read: number,
  write: String,
  needs: "a number",
};
const NUMBERS = {
  control: () => element("textarea", { rows: 5, spellcheck: "false", placeholder: "0.1, 0.2, 0.3 …" }),
  read: (value) => value.split(/[\s,;[\]]+/).filter(Boolean).map(number),
  write: (value) => value.join(", "),
  needs: "numbers, separated by commas or spaces",
};
const CHOICE = {
  control: (property) =>
    element("select", {}, "default" in property ? null : element("option", { value: "" }, ""), ...property.enum.map((each) => element("option", { value: JSON.stringify(each), selected: each === property.default }, String(each)))),
  read: JSON.parse,
  write: JSON.stringify,
};
const NAME_OR_NUMBER = {
  control: () => element("input", { type: "text", autocomplete: "off", spellcheck: "false" }),
  read: (value) => (/^\d+$/.test(value) ? Number(value) : value),
  write: String,
};
const ANY = {
  control: () => element("textarea", { rows: 5, spellcheck: "false", placeholder: "JSON" }),
  read: JSON.parse,
  write: (value) => JSON.stringify(value),
  needs: "JSON",
};

function kindOf(property) {
  if (property.several) {
    const types = property.anyOf.map((each) => each.type);
    return types.every((type) => type === "string" || type === "integer" || type === "number") ? NAME_OR_NUMBER : ANY;
  }
  if (property.type === "boolean") return CHOICE_OF_BOOLEANS;
  if (property.enum) return CHOICE;
  if (property.type === "string") return TEXT;
  if (property.type === "number" || property.type === "integer") return NUMBER;
  if (property.type === "array" && ["number", "integer"].includes(property.items?.type)) return NUMBERS;
  return ANY;
}

const CHOICE_OF_BOOLEANS = { ...CHOICE, control: () => CHOICE.control({ enum: [true, false] }) };

function number(text) {
  const value = Number(text);
  if (!Number.isFinite(value)) throw new Error("not a number");
  return value;
}
