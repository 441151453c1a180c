// Numbers of answers, as the reader's locale writes them.
import { percent } from "./numbers.js";

const MINUS = "\u2212";
const significant = new Intl.NumberFormat(undefined, { maximumSignificantDigits: 4, useGrouping: true });
const scientific = new Intl.NumberFormat(undefined, { notation: "scientific", maximumFractionDigits: 2 });

// Four significant digits, with an exponent only where it helps.
export function short(value) {
  const size = Math.abs(value);
  const text = size !== 0 && (size >= 1e6 || size < 1e-3) ? scientific.format(value) : significant.format(value);
  return text.replace("-", MINUS);
}

// The error to two significant digits, and the value to the same place: 628 ± 88.
export function plusMinus(value, error) {
  if (error === null) return short(value);
  const places = error > 0 ? 1 - Math.floor(Math.log10(error)) : 0;
  if (error <= 0 || places > 4 || Math.abs(value) >= 1e6) return `${short(value)} ± ${short(error)}`;
  const digits = Math.max(0, places);
  const format = new Intl.NumberFormat(undefined, { minimumFractionDigits: digits, maximumFractionDigits: digits });
  return `${format.format(value).replace("-", MINUS)} ± ${format.format(error)}`;
}

export function sharePlusMinus(value, error) {
  return error === null ? percent.format(value) : `${percent.format(value)} ± ${percent.format(error)}`;
}

export function milliseconds(value) {
  const format = new Intl.NumberFormat(undefined, { maximumFractionDigits: value < 10 ? 1 : 0 });
  return `${format.format(value)} ms`;
}
