// Importing CSV files of consents and rights. Wrong lines are told at the file, by number, and nothing is stored.
import { indexPath, send } from "./api.js";
import { during, freshKey } from "./confirm.js";
import { commaLines, csvRows } from "./csv_rows.js";
import { faultAt } from "./faults.js";

const CONSENT = ["owner", "index", "work", "version", "status", "since", "source"];
const TOLD = 10;

function consentsOf(rows) {
  const [head, ...lines] = rows;
  const names = head?.cells.map((each) => each.trim());
  if (names?.length !== CONSENT.length || CONSENT.some((each) => !names.includes(each))) {
    throw new Error(`expected the columns ${CONSENT.join(",")} in the first line, got others.`);
  }
  if (!lines.length) throw new Error("expected at least one line below the columns, got none.");
  const odd = lines.filter(({ cells }) => cells.length !== names.length);
  if (odd.length) {
    throw new Error(odd.slice(0, TOLD).map(({ line, cells }) => `line ${line}: expected ${names.length} fields, got ${cells.length}.`).join("\n"));
  }
  return lines.map(({ cells }) => {
    const row = Object.fromEntries(names.map((name, place) => [name, cells[place].trim() || null]));
    return /^\d{4}-\d{2}-\d{2}$/.test(row.since ?? "") ? { ...row, since: `${row.since}T00:00:00Z` } : row;
  });
}

// Names the lines of the file instead of the places in the request.
function byLine(error, rows) {
  const told = (error.parts ?? []).map(({ pointer = "", detail }) => {
    const [, , place, ...names] = pointer.replace(/^#/, "").split("/");
    const row = rows[Number(place) + 1];
    return row ? `line ${row.line}: ${names.length ? `${names.join(" ")}: ` : ""}${detail}` : detail;
  });
  return told.length ? told.join("\n") : error.message.replace(/; (?=lines? \d|\d+ more)/g, "\n");
}

async function importConsents(rows, form, key) {
  await send("POST", "/v1/consents", { consents: consentsOf(rows) }, { "Idempotency-Key": key });
}

async function importRights(rows, form) {
  await send("POST", indexPath(new FormData(form).get("index"), "/rights"), { csv: commaLines(rows) });
}

for (const form of document.querySelectorAll("form[data-import]")) {
  const load = { consents: importConsents, rights: importRights }[form.dataset.import];
  let key = freshKey();
  form.addEventListener("input", () => (key = freshKey()));
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    during(form.closest("dialog"), form.querySelector(".status"), async () => {
      const rows = csvRows(await form.elements.file.files[0].text());
      try {
        await load(rows, form, key);
      } catch (error) {
        throw error instanceof TypeError ? error : faultAt(form.elements.file, byLine(error, rows));
      }
      location.reload();
    });
  });
}
