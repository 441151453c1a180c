// Amounts as people type them, in integer minor units: never through a float.
export function minorOf(text, digits) {
  const found = /^\s*(\d{1,15})(?:[.,](\d*))?\s*$/.exec(text);
  if (!found || (found[2] ?? "").length > digits) {
    throw new Error(digits === 0 ? "Expected a whole amount." : `Expected an amount with at most ${digits} decimals.`);
  }
  return Number(found[1] + (found[2] ?? "").padEnd(digits, "0"));
}
