// Charts of answers: marks in SVG, text in HTML, and a table with a CSV file under each.
// `pages/charts.py` computes the same charts for pages that are rendered on the server.
import { element, svg } from "./dom.js";
import { csvLink } from "./csv.js";
import { short } from "./formats.js";

const WIDTH = 200;

// Math.max takes numbers as arguments, and browsers limit their number.
function most(values) {
  return values.reduce((largest, value) => Math.max(largest, value), -Infinity);
}

// Places 0 and every bar with its interval on one scale; one sign alone gets the whole width.
export function scaleOf(entries) {
  const ends = entries.flatMap(({ value, interval }) => [value, ...(interval ?? [])]);
  const low = entries.some((each) => each.value < 0) ? -most([0, ...ends.map((end) => -end)]) : 0;
  const high = entries.some((each) => each.value > 0) ? most([0, ...ends]) : 0;
  const width = high - low || 1;
  const x = (value) => 1 + ((WIDTH - 2) * (Math.min(Math.max(value, low), high) - low)) / width;
  return Object.assign(x, { ticks: ticksOf(low, high) });
}

// Multiples of 1, 2 or 5 times a power of ten: 2 to 6 of them.
function ticksOf(low, high) {
  if (high <= low) return [0];
  const rough = (high - low) / 4;
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = [1, 2, 5, 10].find((each) => each * power >= rough) * power;
  const ticks = [];
  for (let at = Math.ceil(low / step); at * step <= high * (1 + 1e-9); at++) ticks.push(at * step);
  return ticks;
}

// The values of a scale over a list of bars.
export function axis(x) {
  const labels = x.ticks.map((tick) => {
    const label = element("span", {}, short(tick));
    label.style.left = `${(100 * x(tick)) / WIDTH}%`;
    return label;
  });
  return element("div", { class: "axis-values", "aria-hidden": "true" }, ...labels);
}

// A signed bar with its interval. The tip tells its value.
export function bar({ value, interval, tip }, x) {
  const lines = x.ticks.map((tick) => svg("line", { class: tick === 0 ? "axis" : "tick", x1: x(tick), x2: x(tick), y1: 0, y2: 12 }));
  const parts = [...lines, svg("rect", { class: value < 0 ? "minus" : "plus", x: Math.min(x(0), x(value)), y: 2, width: Math.abs(x(value) - x(0)), height: 8 })];
  if (interval !== null) {
    const [low, high] = interval.map(x);
    parts.push(svg("path", { class: "whisker", d: `M${low} 6H${high}M${low} 3v6M${high} 3v6` }));
  }
  return svg("svg", { class: "bar-chart", viewBox: `0 0 ${WIDTH} 12`, preserveAspectRatio: "none", "aria-hidden": "true", "data-tip": tip }, ...parts);
}

// entries: [{label, value, interval, text}]
export function bars(entries) {
  const x = scaleOf(entries);
  const rows = entries.map((each) => element("div", {}, element("span", { class: "name" }, each.label), bar({ ...each, tip: `${each.label}: ${each.text}` }, x), element("span", { class: "value" }, each.text)));
  return element("div", { class: "bars" }, ...rows);
}

export function stacked(parts) {
  const total = parts.reduce((sum, [, size]) => sum + size, 0) || 1;
  let x = 0;
  const marks = parts.map(([, size, tip], i) => {
    const width = (WIDTH * size) / total;
    x += width;
    return svg("rect", { class: `s${(i % 6) + 1}`, x: x - width, y: 0, width, height: 10, "data-tip": tip });
  });
  return svg("svg", { class: "stacked", viewBox: `0 0 ${WIDTH} 10`, preserveAspectRatio: "none", "aria-hidden": "true" }, ...marks);
}

export function key(number, name, text) {
  return element("li", { class: `key s${(number % 6) + 1}` }, name, element("span", { class: "hint" }, text));
}

// columns: [{title, number}], rows: lists of text or elements; the file has the exact values of `data`.
export function figure(label, picture, { columns, rows, file, data }) {
  const head = columns.map(({ title, number }) => element("th", { scope: "col", class: number ? "number" : null }, title));
  const body = rows.map((row) => element("tr", {}, ...row.map((cell, i) => (i === 0 ? element("th", { scope: "row" }, cell) : element("td", { class: columns[i].number ? "number" : null }, cell)))));
  const table = element("table", {}, element("thead", {}, element("tr", {}, ...head)), element("tbody", {}, ...body));
  const scroll = element("div", { class: "scroll", role: "region", "aria-label": label, tabindex: 0 }, table);
  const details = element("details", {}, element("summary", {}, "Show as a table", element("span", { class: "quiet" }, `: ${label}`)), scroll);
  return element(
    "figure",
    { class: "chart" },
    element("div", { role: "group", "aria-label": label, tabindex: 0, "data-tips": true }, picture),
    element("figcaption", { class: "under" }, details, csvLink(file, data, label)),
  );
}
