// Signing out; the session's cookie is out of scripts' reach, so the service ends it.
import { send } from "./api.js";

document.getElementById("sign-out").addEventListener("click", async () => {
  try {
    await send("POST", "/logout");
  } finally {
    location.assign("/login");
  }
});
