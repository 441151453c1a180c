// Words that a query and a training point share, as the reader sees them. A shared word is no measure of influence.

const WORD = /[\p{L}\p{N}]+/gu;
const RUN = 3; // words in a row that count as copied

function wordsOf(text) {
  return [...text.matchAll(WORD)].map((found) => ({ word: found[0].toLowerCase(), start: found.index, end: found.index + found[0].length }));
}

function runsOf(words) {
  const runs = new Set();
  for (let i = 0; i + RUN <= words.length; i++) runs.add(words.slice(i, i + RUN).map(({ word }) => word).join(" "));
  return runs;
}

// Returns the text in parts: {text, kind}, where kind is "run" for words of a shared run, "word" for one shared word, or null.
export function matched(text, other) {
  const [own, others] = [wordsOf(text), wordsOf(other)];
  const [single, runs] = [new Set(others.map(({ word }) => word)), runsOf(others)];
  const kinds = own.map(({ word }) => (word.length > 3 && single.has(word) ? "word" : null));
  for (let i = 0; i + RUN <= own.length; i++) {
    if (runs.has(own.slice(i, i + RUN).map(({ word }) => word).join(" "))) kinds.fill("run", i, i + RUN);
  }
  const parts = [];
  let at = 0;
  own.forEach(({ start, end }, i) => {
    if (kinds[i] === null) return;
    const joined = kinds[i] === "run" && kinds[i - 1] === "run";
    if (start > at) parts.push({ text: text.slice(at, start), kind: joined ? "run" : null });
    parts.push({ text: text.slice(start, end), kind: kinds[i] });
    at = end;
  });
  if (at < text.length) parts.push({ text: text.slice(at), kind: null });
  return parts;
}
