// Numbers in the reader's locale. The server writes English numbers with their exact values.
const formats = new Map();

function format(options) {
  const key = JSON.stringify(options);
  if (!formats.has(key)) formats.set(key, new Intl.NumberFormat(undefined, options));
  return formats.get(key);
}

function optionsOf({ style, currency, digits }) {
  const places = digits === undefined ? {} : { minimumFractionDigits: Number(digits), maximumFractionDigits: Number(digits) };
  if (currency) return { ...places, style: "currency", currency, currencyDisplay: "narrowSymbol" };
  return style === "percent" ? { ...places, style } : { maximumFractionDigits: 0, ...places };
}

export const whole = format({ maximumFractionDigits: 0 });
export const percent = format({ style: "percent", maximumFractionDigits: 1 });

export function localise(root) {
  for (const each of root.querySelectorAll("data[value]")) {
    // A string, since amounts may have more digits than a float.
    const written = format(optionsOf(each.dataset)).format(each.value);
    each.textContent = written.replace("-", "\u2212");
  }
}

localise(document);
