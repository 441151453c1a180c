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
  const error = errorOf(response, problem);
  error.parts = problem?.errors ?? [];
  return error;
}

// Writes a failure's details at the fields of a form and returns those that belong to none.
// `fieldOf` maps a part ({pointer, parameter, detail, field}) to an input. By default it is the part's own field, or the
// input with the last known name of its pointer; `data-part` gives an input a further name.
export function showAtFields(form, error, fieldOf = (part) => part.field ?? namedField(form, part)) {
  clearFields(form);
  const rest = [];
  for (const part of error.parts ?? []) {
    const field = fieldOf(part);
    if (field) markField(field, sentence(part.detail));
    else rest.push(sentence(part.detail));
  }
  form.querySelector('[aria-invalid="true"]')?.focus();
  return rest;
}

export function clearFields(form) {
  for (const field of form.querySelectorAll('[aria-invalid="true"]')) {
    const id = `${field.id || field.name}-fault`;
    document.getElementById(id)?.remove();
    field.removeAttribute("aria-invalid");
    describe(field, (field.getAttribute("aria-describedby") ?? "").split(" ").filter((each) => each !== id));
  }
}

function markField(field, words) {
  const id = `${field.id || field.name}-fault`;
  const line = document.getElementById(id) ?? document.createElement("p");
  line.id = id;
  line.className = "fault";
  line.textContent = words;
  field.setAttribute("aria-invalid", "true");
  describe(field, [field.getAttribute("aria-describedby"), id]);
  field.closest("details")?.setAttribute("open", "");
  if (!line.isConnected) field.after(line);
}

// A field keeps its hints beside its fault.
function describe(field, ids) {
  const written = ids.filter(Boolean).join(" ");
  if (written) field.setAttribute("aria-describedby", written);
  else field.removeAttribute("aria-describedby");
}

function namedField(form, part) {
  const names = (part.parameter ?? part.pointer ?? "").split("/").map((name) => name.replaceAll("~1", "/").replaceAll("~0", "~"));
  for (const name of names.reverse().filter(Boolean)) {
    const named = form.elements.namedItem(name) ?? form.querySelector(`[data-part~="${CSS.escape(name)}"]`);
    if (named) return named instanceof RadioNodeList ? named[0] : named;
  }
  return null;
}

function errorOf(response, problem) {
  if (problem === null || !problem.title) return new Error(`The service answered with status ${response.status}.`);
  const wait = response.headers.get("retry-after");
  return new Error(`${sentence(problem.detail || problem.title)}${wait ? ` Try again in ${wait} s.` : ""}`);
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
