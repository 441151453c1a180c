// The service's API. A failure is an Error whose message is the problem document as sentences.

async function answered(response) {
  if (response.status === 204) return null;
  const body = await response.text();
  let document = null;
  try {
    document = JSON.parse(body);
  } catch {
    // A proxy's page, for example: the status says enough.
  }
  if (response.ok && document !== null) return document;
  if (response.status === 401 && location.pathname !== "/login") {
    location.assign(`/login?next=${encodeURIComponent(location.pathname + location.search)}`);
  }
  throw new Error(sentences(response, document));
}

function sentences(response, problem) {
  if (problem === null || !problem.title) return `The service answered with status ${response.status}.`;
  const detail = problem.detail ? ` ${sentence(problem.detail)}` : "";
  const wait = response.headers.get("retry-after");
  return `${sentence(problem.title)}${detail}${wait ? ` Try again in ${wait} s.` : ""}`;
}

function sentence(text) {
  const started = text.charAt(0).toUpperCase() + text.slice(1);
  return /[.!?]$/.test(started) ? started : `${started}.`;
}

export async function get(path, signal) {
  return answered(await fetch(path, { signal }));
}

export async function post(path, body, signal) {
  return answered(
    await fetch(path, {
      method: "POST",
      headers: { "content-type": "application/json" },
      body: JSON.stringify(body),
      signal,
    }),
  );
}

export function indexPath(name, rest = "") {
  return `/v1/indexes/${encodeURIComponent(name)}${rest}`;
}
