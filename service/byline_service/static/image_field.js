// A query's image as a file: chosen or dropped, decoded in the browser, and sent as numbers.
import { element } from "./dom.js";
import { drawn, numbersOf } from "./images.js";

// control: the text area of the numbers. Returns what stands below it.
export function imageControl(control, form, title) {
  const shown = element("div", { class: "drawn" });
  const said = element("p", { class: "hint", role: "status" });
  const file = element("input", { type: "file", accept: "image/png,image/jpeg,image/webp", class: "quiet", id: `${control.id}-file` });
  const choose = element("label", { class: "button small", for: file.id }, "Choose a file", element("span", { class: "quiet" }, ` for ${title}`));
  const hint = element("p", { class: "hint" }, `Or drop a PNG, JPEG or WebP here. Your browser scales it to ${form.width} × ${form.height}, and sends its numbers.`);
  const field = element("div", { class: "dropping" }, shown, element("div", {}, file, choose, hint, said));
  control.rows = 3;
  control.addEventListener("input", () => shown.replaceChildren(pictureOf(control.value, form) ?? ""));

  async function take(chosen) {
    if (!chosen) return;
    try {
      control.value = JSON.stringify(await numbersOf(chosen, form));
      said.textContent = `${chosen.name} is read.`;
    } catch {
      said.textContent = `${chosen.name} is no image that this browser can read.`;
    }
    control.dispatchEvent(new Event("input"));
  }

  file.addEventListener("change", () => take(file.files[0]));
  field.addEventListener("dragover", (event) => {
    event.preventDefault();
    field.classList.add("over");
  });
  field.addEventListener("dragleave", () => field.classList.remove("over"));
  field.addEventListener("drop", (event) => {
    event.preventDefault();
    field.classList.remove("over");
    take(event.dataTransfer.files[0]);
  });
  return field;
}

function pictureOf(text, form) {
  try {
    return drawn(JSON.parse(text), form, "The image that is sent");
  } catch {
    return null;
  }
}
