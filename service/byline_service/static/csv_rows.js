// Reading CSV files of tables, as spreadsheets write them: by RFC 4180, with commas or semicolons.

// Returns the rows as {line, cells}, with the number of the first line of each. Empty lines are left out.
export function csvRows(text) {
  const head = text.split(/\r?\n/, 1)[0];
  const separator = head.includes(";") && !head.includes(",") ? ";" : ",";
  const rows = [];
  const place = { line: 1, start: 1, cells: [], cell: "", quoted: false };
  const cut = () => {
    place.cells.push(place.cell);
    place.cell = "";
  };
  const end = () => {
    cut();
    if (place.cells.some((each) => each !== "")) rows.push({ line: place.start, cells: place.cells });
    place.cells = [];
    place.start = place.line + 1;
  };
  let before = "";
  for (const [part] of text.matchAll(/\r\n|[^]/gu)) {
    const newline = /^\r?\n$/.test(part);
    if (part === '"') {
      if (!place.quoted && before === '"') place.cell += '"'; // two quotes within quotes are one
      place.quoted = !place.quoted;
    } else if (place.quoted) place.cell += part;
    else if (part === separator) cut();
    else if (newline) end();
    else place.cell += part;
    if (newline) place.line += 1;
    before = part;
  }
  if (place.cell || place.cells.length) end();
  return rows;
}

// Writes cells unchanged, with commas, one line for each line of the file.
export function commaLines(rows) {
  const quoted = (cell) => (/[",\r\n]/.test(cell) ? `"${cell.replaceAll('"', '""')}"` : cell);
  let text = "";
  let line = 1;
  for (const { line: at, cells } of rows) {
    text += "\n".repeat(at - line);
    const written = cells.map(quoted).join(",");
    text += `${written}\n`;
    line = at + written.split("\n").length;
  }
  return text;
}
