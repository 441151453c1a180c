// The view of a score over draws of a diffusion model's noise: its standard error, and a bar for each band of timesteps.
import { bars } from "./charts.js";
import { element } from "./dom.js";
import { short } from "./formats.js";
import { term } from "./glossary.js";

// Returns nothing if replicates were not requested.
export function noiseView({ noise, score, example }) {
  if (!noise) return null;
  const parts = noise.bands.map((band) => ({ label: timesteps(band.target), value: band.score, interval: null, text: withError(band.score, band.standard_error) }));
  const title = parts.length ? "By timestep" : "Over sets of noise";
  return element(
    "div",
    { class: "told noise", role: "group", "aria-label": `${title}: ${example.id}` },
    element("p", { class: "hint" }, `${title}: ${withError(score, noise.standard_error)}`, ...(noise.standard_error === null ? [] : [" (", term("plus-minus", "standard error"), " over sets of noise)"])),
    parts.length ? bars(parts) : null,
  );
}

function withError(score, error) {
  return error === null ? short(score) : `${short(score)} \u00b1 ${short(error)}`;
}

function timesteps(target) {
  const found = /^denoising_(\d+)_(\d+)$/.exec(target);
  return found ? `${found[1]} to ${found[2]}` : target;
}
