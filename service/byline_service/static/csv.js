// CSV files of tables, made in the browser.
import { element } from "./dom.js";

// Owners choose their names: text that a spreadsheet would compute is escaped.
function cell(value) {
  if (value === null || value === undefined) return "";
  if (typeof value === "number") return String(value);
  const text = /^[=+\-@\t\r]/.test(value) ? `'${value}` : String(value);
  return /[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
}

export function csvText(rows) {
  return rows.map((row) => row.map(cell).join(",")).join("\r\n") + "\r\n";
}

export function csvLink(name, rows, label) {
  const href = URL.createObjectURL(new Blob([csvText(rows)], { type: "text/csv;charset=utf-8" }));
  return element("a", { href, download: `${name}.csv` }, "CSV", element("span", { class: "quiet" }, ` of: ${label}`));
}
