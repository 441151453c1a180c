// The page at /login: a key, typed or in the address's fragment (which no server ever sees), becomes a session.
import { post } from "./api.js";

const at = (id) => document.getElementById(id);

// Back to where the browser was sent from; only an address of this service. All of it, with the origin: a path that
// begins with two slashes would be another host's address.
function destination() {
  const next = new URLSearchParams(location.search).get("next") ?? "/";
  if (!URL.canParse(next, location.origin)) return "/";
  const url = new URL(next, location.origin);
  return url.origin === location.origin && url.pathname !== "/login" ? url.href : "/";
}

async function signIn(key) {
  at("status").className = "status busy";
  at("status").textContent = "Signing in…";
  try {
    await post("/login", { key: key.trim() });
    location.replace(destination());
  } catch (error) {
    at("status").className = "status error";
    at("status").textContent = error instanceof TypeError ? "The service cannot be reached." : error.message;
  }
}

at("form").addEventListener("submit", (event) => {
  event.preventDefault();
  signIn(at("key").value);
});
const given = new URLSearchParams(location.hash.slice(1)).get("key");
if (given !== null) {
  history.replaceState(null, "", location.pathname + location.search);
  signIn(given);
}
