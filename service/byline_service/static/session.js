// Sign out. Scripts cannot read the session's cookie, so the service deletes it.
import { send } from "./api.js";

document.getElementById("sign-out").addEventListener("click", async () => {
  try {
    await send("POST", "/logout");
  } finally {
    location.assign("/login");
  }
});
