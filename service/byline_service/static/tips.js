// Values of marks as tips: under the pointer, and with the arrow keys where a chart or a text has the focus.
import { element } from "./dom.js";

const tip = element("div", { class: "tip", role: "status", popover: "manual" });
document.body.append(tip);
let current = null;

function show(mark) {
  if (mark === current) return;
  hide();
  current = mark;
  mark.classList.add("pointed");
  tip.textContent = mark.dataset.tip;
  tip.showPopover();
  const [at, own] = [mark.getBoundingClientRect(), tip.getBoundingClientRect()];
  const left = Math.min(Math.max(8, at.left + at.width / 2 - own.width / 2), innerWidth - own.width - 8);
  const above = at.top - own.height - 6;
  tip.style.left = `${left}px`;
  tip.style.top = `${above < 8 ? at.bottom + 6 : above}px`;
}

function hide() {
  current?.classList.remove("pointed");
  current = null;
  if (tip.matches(":popover-open")) tip.hidePopover();
}

const STEPS = { ArrowRight: 1, ArrowDown: 1, ArrowLeft: -1, ArrowUp: -1 };

function step(group, key) {
  const marks = [...group.querySelectorAll("[data-tip]")];
  if (marks.length === 0) return;
  const at = marks.indexOf(current);
  const next = key === "Home" ? 0 : key === "End" ? marks.length - 1 : at < 0 ? 0 : (at + STEPS[key] + marks.length) % marks.length;
  marks[next].scrollIntoView({ block: "nearest" });
  show(marks[next]);
}

// A chart of the server takes the focus once it has marks with values.
for (const group of document.querySelectorAll("[data-tips]")) {
  if (group.querySelector("[data-tip]")) group.tabIndex = 0;
}

document.addEventListener("pointerover", ({ target }) => {
  const mark = target.closest?.("[data-tip]");
  if (mark) show(mark);
  else if (!target.closest?.(".tip")) hide();
});
document.addEventListener("keydown", (event) => {
  if (event.key === "Escape") return hide();
  const group = event.target.closest?.("[data-tips]");
  if (group === null || event.target !== group || !(event.key in STEPS || event.key === "Home" || event.key === "End")) return;
  event.preventDefault();
  step(group, event.key);
});
document.addEventListener("focusout", hide);
