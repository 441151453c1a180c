// The preview of a draft: the events and the amount that it would pay, while the period is chosen.
import { get } from "./api.js";
import { element } from "./dom.js";

const form = document.querySelector('form[data-draft="allocation"]');
const preview = document.getElementById("preview");
let last = 0;

function money(minor, { currency, minor_digits: digits }) {
  const sign = minor < 0 ? "-" : "";
  const text = String(Math.abs(minor)).padStart(digits + 1, "0");
  const exact = digits ? `${sign}${text.slice(0, -digits)}.${text.slice(-digits)}` : sign + text;
  return new Intl.NumberFormat(undefined, { style: "currency", currency, currencyDisplay: "narrowSymbol", minimumFractionDigits: digits }).format(exact);
}

function day(time, back = 0) {
  return new Date(Date.parse(time) - back).toISOString().slice(0, 10);
}

function shown(found) {
  const late = found.late ? `, ${found.late} of them late` : "";
  const refused = found.refused ? `; ${found.refused} are not paid for` : "";
  return [
    element("p", {}, element("b", {}, `${found.events} unpaid events${late}${refused}`)),
    element("p", {}, `${day(found.since)} to ${day(found.until, 1)}, both days included`),
    element("p", {}, `${money(found.totals.pool, found)} over ${found.owners} owners: ${money(found.totals.payable, found)} payable, ${money(found.totals.escrow, found)} in escrow`),
    found.warnings.length ? element("ul", {}, ...found.warnings.map(({ text }) => element("li", {}, text))) : null,
  ].filter(Boolean);
}

async function update() {
  const turn = ++last;
  const values = new FormData(form);
  const query = new URLSearchParams({ policy: form.dataset.policy, kind: values.get("kind") });
  if (values.get("period").trim()) query.set("period", values.get("period").trim());
  preview.textContent = "Computing…";
  try {
    const found = await get(`/v1/statement-runs/preview?${query}`);
    if (turn === last) preview.replaceChildren(...shown(found));
  } catch (error) {
    if (turn === last) preview.textContent = error.message;
  }
}

let pause;
function soon() {
  clearTimeout(pause);
  pause = setTimeout(update, 300);
}

if (form) {
  form.addEventListener("input", soon);
  document.querySelector('[data-dialog="draft"]')?.addEventListener("click", update);
  for (const button of form.querySelectorAll("[data-preset]")) {
    button.addEventListener("click", () => {
      form.elements.period.value = button.dataset.preset;
      form.elements.period.dispatchEvent(new Event("input", { bubbles: true }));
    });
  }
}
