// An answer as files, and its question as code. The key is never written: it is read from $BYLINE_KEY.
import { indexPath } from "./api.js";
import { csvText } from "./csv.js";
import { element } from "./dom.js";

// asked: the body of the question. Returns the menu; said(text) tells what was copied.
export function exportView(found, asked, said) {
  const name = `${found.index}-answer`;
  const entries = [
    file("JSON", `${name}.json`, JSON.stringify(found, null, 2), "application/json"),
    file("CSV", `${name}.csv`, csvText(rowsOf(found)), "text/csv;charset=utf-8"),
    ...(asked ? [copying("Copy as curl", curl(found.index, asked), said), copying("Copy as Python", python(found.index, asked), said)] : []),
  ];
  const menu = element("details", { class: "menu" }, element("summary", { class: "button small" }, "Export"), element("div", {}, ...entries));
  menu.addEventListener("focusout", ({ relatedTarget }) => menu.contains(relatedTarget) || menu.removeAttribute("open"));
  menu.addEventListener("keydown", (event) => event.key === "Escape" && menu.removeAttribute("open"));
  return menu;
}

function file(title, name, text, type) {
  return element("a", { href: URL.createObjectURL(new Blob([text], { type })), download: name }, title);
}

function copying(title, text, said) {
  const button = element("button", { type: "button", class: "plain" }, title);
  button.addEventListener("click", async () => {
    try {
      await navigator.clipboard.writeText(text);
      said("The code is copied. It reads the key from $BYLINE_KEY.");
    } catch {
      said("The browser does not allow copying.");
    }
  });
  return button;
}

function rowsOf({ proponents, opponents }) {
  const columns = ["end", "rank", "row", "id", "owner", "license", "label", "uri", "score", "standard_error", "low", "high"];
  const members = Object.keys((proponents ?? opponents)?.[0]?.members ?? {});
  const row = (end) => (each) => [
    end,
    each.rank,
    each.row,
    ...["id", "owner", "license", "label", "uri"].map((name) => each.example[name]),
    each.score,
    each.standard_error,
    ...(each.interval ?? [null, null]),
    ...members.map((member) => each.members?.[member]),
  ];
  return [[...columns, ...members.map((member) => `member ${member}`)], ...(proponents ?? []).map(row("proponents")), ...(opponents ?? []).map(row("opponents"))];
}

const quoted = (text) => `'${text.replaceAll("'", "'\\''")}'`;

export function curl(index, asked) {
  const address = `${location.origin}${indexPath(index, "/attributions")}`;
  const lines = [`curl -sS ${quoted(address)}`, '-H "Authorization: Bearer $BYLINE_KEY"', "-H 'Content-Type: application/json'", `-d ${quoted(JSON.stringify(asked))}`];
  return lines.join(" \\\n  ");
}

export function python(index, { query, ...options }) {
  const given = Object.entries(options).filter(([, value]) => value !== null && value !== false && value !== 0);
  const lines = [JSON.stringify(index), literal(query), ...given.map(([name, value]) => `${name}=${literal(value)}`)];
  return `import os

from byline.client import Client

with Client(${JSON.stringify(location.origin)}, os.environ["BYLINE_KEY"]) as client:
    answer = client.attribute(
${lines.map((line) => `        ${line},\n`).join("")}    )
print(answer.to_pandas())
`;
}

// JSON's strings and numbers are Python's too.
function literal(value) {
  if (value === null) return "None";
  if (typeof value === "boolean") return value ? "True" : "False";
  if (Array.isArray(value)) return `[${value.map(literal).join(", ")}]`;
  if (typeof value === "object") return `{${Object.entries(value).map(([name, each]) => `${JSON.stringify(name)}: ${literal(each)}`).join(", ")}}`;
  return JSON.stringify(value);
}
