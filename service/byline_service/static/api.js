// Requests to the service's API. A failure is an Error with the detail of its problem document.

export async function answered(response) {
  const body = await response.text();
  if (response.status === 204) return null;
  let document = null;
  try {
    document = JSON.parse(body);
  } catch {
    // Not JSON, such as a proxy's page: the status is reported.
  }
  if (response.ok && document !== null) return document;
  if (response.status === 401 && location.pathname !== "/login") {
    location.assign(`/login?next=${encodeURIComponent(location.pathname + location.search)}`);
  }
  throw failed(response, document);
}

export function failed(response, problem) {
  if (problem === null || !problem.title) return new Error(`The service answered with status ${response.status}.`);
  const wait = response.headers.get("retry-after");
  const error = new Error(`${sentence(problem.detail || problem.title)}${wait ? ` Try again in ${wait} s.` : ""}`);
  return Object.assign(error, { problem });
}

function sentence(text) {
  const started = text.charAt(0).toUpperCase() + text.slice(1);
  return /[.!?]$/.test(started) ? started : `${started}.`;
}

export async function get(path, signal) {
  return answered(await fetch(path, { signal }));
}

export async function post(path, body, signal) {
  return send("POST", path, body, {}, signal);
}

export async function send(method, path, body, headers = {}, signal = undefined) {
  return answered(
    await fetch(path, {
      method,
      headers: { "content-type": "application/json", ...headers },
      body: body === undefined ? undefined : JSON.stringify(body),
      signal,
    }),
  );
}

export function indexPath(name, rest = "") {
  return `/v1/indexes/${encodeURIComponent(name)}${rest}`;
}
