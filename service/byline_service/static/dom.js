// Creation of elements. Text enters through textContent only: previews and predictions are untrusted.

const SVG = "http://www.w3.org/2000/svg";

export function element(tag, attributes = {}, ...children) {
  return filled(document.createElement(tag), attributes, children);
}

export function svg(tag, attributes = {}, ...children) {
  return filled(document.createElementNS(SVG, tag), attributes, children);
}

function filled(node, attributes, children) {
  for (const [name, value] of Object.entries(attributes)) {
    if (value !== null && value !== undefined && value !== false) {
      node.setAttribute(name, value === true ? "" : String(value));
    }
  }
  node.append(...children.filter((child) => child !== null && child !== undefined));
  return node;
}

// Only web addresses become links; other URIs are shown as text.
export function place(uri) {
  let url;
  try {
    url = new URL(uri);
  } catch {
    return element("span", { class: "uri" }, uri);
  }
  if (url.protocol !== "https:" && url.protocol !== "http:") return element("span", { class: "uri" }, uri);
  return element("a", { class: "uri", href: url.href, rel: "noopener noreferrer", target: "_blank" }, uri);
}
