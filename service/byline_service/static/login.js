// The login page: a key becomes a session. It is typed, or comes in the fragment of the address, which is not sent to a
// server. A link alone signs nobody in: it could carry the key of another person.
import { post } from "./api.js";

const at = (id) => document.getElementById(id);

// The address to return to, on this service only. It includes the origin, since a path with two leading slashes would
// name another host.
function destination() {
  const next = new URLSearchParams(location.search).get("next") ?? "/start";
  if (!URL.canParse(next, location.origin)) return "/start";
  const url = new URL(next, location.origin);
  return url.origin === location.origin && url.pathname !== "/login" ? url.href : "/start";
}

async function signIn(form) {
  at("status").className = "status busy";
  at("status").textContent = "Signing in…";
  try {
    await post("/login", { key: at("key").value.trim(), token: form.dataset.token });
    location.replace(destination());
  } catch (error) {
    at("status").className = "status error";
    at("status").textContent = error instanceof TypeError ? "The service cannot be reached." : error.message;
  }
}

const given = new URLSearchParams(location.hash.slice(1)).get("key");
if (given !== null) history.replaceState(null, "", location.pathname + location.search);
const form = at("form");
if (form === null) {
  at("continue").href = destination();
} else {
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    signIn(form);
  });
  if (given !== null) {
    at("key").value = given;
    at("status").textContent = "The link filled in a key. Sign in with it only if it is yours.";
  }
}
