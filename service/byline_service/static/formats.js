// Numbers of answers in the reader's locale.
import { percent } from "./numbers.js";

const MINUS = "\u2212";
const significant = new Intl.NumberFormat(undefined, { maximumSignificantDigits: 4, useGrouping: true });
const scientific = new Intl.NumberFormat(undefined, { notation: "scientific", maximumFractionDigits: 2 });

// Four significant digits, with an exponent only for very large or small numbers.
export function short(value) {
  const size = Math.abs(value);
  const text = size !== 0 && (size >= 1e6 || size < 1e-3) ? scientific.format(value) : significant.format(value);
  return text.replace("-", MINUS);
}

// Half of the interval to two significant digits, and all numbers to the same place: 628 (540 to 716).
export function within(value, interval) {
  if (interval === null) return short(value);
  const [low, high] = interval;
  const places = high > low ? 1 - Math.floor(Math.log10((high - low) / 2)) : 5;
  if (places > 4 || Math.abs(value) >= 1e6) return `${short(value)} (${short(low)} to ${short(high)})`;
  const digits = Math.max(0, places);
  const format = new Intl.NumberFormat(undefined, { minimumFractionDigits: digits, maximumFractionDigits: digits });
  const [middle, ...ends] = [value, low, high].map((each) => format.format(each).replace("-", MINUS));
  return `${middle} (${ends.join(" to ")})`;
}

export function shareWithin(value, interval) {
  return interval === null ? percent.format(value) : `${percent.format(value)} (${interval.map((each) => percent.format(each)).join(" to ")})`;
}

export function milliseconds(value) {
  const format = new Intl.NumberFormat(undefined, { maximumFractionDigits: value < 10 ? 1 : 0 });
  return `${format.format(value)} ms`;
}
