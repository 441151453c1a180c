// Images as numbers: a query's image is drawn, and a file becomes the numbers that the query's schema demands.
import { element } from "./dom.js";

// The form of an image: `{field, channels, height, width, low, high}`, or null where the schema declares none.
export function imageForm(schema) {
  const found = Object.entries(schema?.properties ?? {}).find(([, property]) => property["x-image"]);
  return found ? { field: found[0], ...found[1]["x-image"] } : null;
}

// Draws the numbers of an image of one or three channels. Other numbers are not drawn.
export function drawn(numbers, form, label) {
  const { channels, height, width, low, high } = form;
  const flat = numbers.flat(Infinity);
  if (flat.length !== channels * height * width || ![1, 3].includes(channels)) return null;
  const canvas = element("canvas", { class: "thumbnail", width, height, role: "img", "aria-label": label });
  const context = canvas.getContext("2d");
  const pixels = context.createImageData(width, height);
  for (let at = 0; at < height * width; at++) {
    for (let channel = 0; channel < 3; channel++) {
      const number = flat[(channels === 3 ? channel : 0) * height * width + at];
      pixels.data[4 * at + channel] = Math.round((255 * (number - low)) / (high - low));
    }
    pixels.data[4 * at + 3] = 255;
  }
  context.putImageData(pixels, 0, 0);
  return canvas;
}

// Decodes a file in the browser, fits it on white, and returns nested lists [C][H][W]; [H][W] where there is one channel.
export async function numbersOf(file, { channels, height, width, low, high }) {
  const picture = await createImageBitmap(file);
  const canvas = element("canvas", { width, height });
  const context = canvas.getContext("2d", { willReadFrequently: true });
  context.fillStyle = "#fff";
  context.fillRect(0, 0, width, height);
  context.imageSmoothingQuality = "high";
  const scale = Math.min(width / picture.width, height / picture.height);
  const [w, h] = [picture.width * scale, picture.height * scale];
  context.drawImage(picture, (width - w) / 2, (height - h) / 2, w, h);
  const { data } = context.getImageData(0, 0, width, height);
  const number = (byte) => Math.round((low + ((high - low) * byte) / 255) * 1e4) / 1e4;
  const gray = (at) => 0.299 * data[at] + 0.587 * data[at + 1] + 0.114 * data[at + 2];
  const plane = (channel) =>
    Array.from({ length: height }, (_, y) => Array.from({ length: width }, (_, x) => number(channels === 1 ? gray(4 * (y * width + x)) : data[4 * (y * width + x) + channel])));
  return channels === 1 ? plane(0) : [0, 1, 2].map(plane);
}
