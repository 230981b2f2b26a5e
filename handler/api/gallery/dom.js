/** Elements, icons and texts. */

const SVG = "http://www.w3.org/2000/svg";

/**
 * Create an element. Attributes named `on…` are listeners; null, undefined and false are left out.
 * Children are elements or texts; texts are never read as HTML.
 */
export function h(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (value === null || value === undefined || value === false) continue;
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else element.setAttribute(name, value === true ? "" : value);
  }
  element.append(...children.filter((child) => child !== null && child !== undefined && child !== false));
  return element;
}

/** An icon of the page's sprite, hidden from screen readers. */
export function icon(name) {
  const svg = document.createElementNS(SVG, "svg");
  svg.setAttribute("class", "icon");
  svg.setAttribute("aria-hidden", "true");
  const use = document.createElementNS(SVG, "use");
  use.setAttribute("href", `#i-${name}`);
  svg.append(use);
  return svg;
}

/** A button with an icon only; its label is for screen readers, and its tooltip. */
export function iconButton(name, label, onclick, attributes = {}) {
  return h(
    "button",
    { type: "button", class: "icon-button", "aria-label": label, title: label, onclick, ...attributes },
    icon(name),
  );
}

export const byId = (id) => document.getElementById(id);

/** Let screen readers say a text. */
export function announce(text) {
  byId("live").textContent = text;
}

/** The key of `s3://bucket/key`. */
export const keyOf = (source) => source.slice(source.indexOf("/", 5) + 1);

/** The last part of a key. */
export const nameOf = (key) => key.slice(key.lastIndexOf("/") + 1) || key;

/** Everything of a key up to its last `/`. */
export const folderOf = (key) => key.slice(0, key.lastIndexOf("/") + 1);

export const percent = (score) => `${Math.round(score * 100)} %`;

/** What a hit is ordered by: the probability of a label, or a cosine. */
export function scoreText(entry) {
  if (entry.label_score !== undefined) return percent(entry.label_score);
  return entry.score === undefined ? "" : entry.score.toFixed(2);
}

/** A number with its noun. */
export const count = (number, one, many = `${one}s`) => `${number.toLocaleString("en")} ${number === 1 ? one : many}`;

/** A size in powers of 1,000, as file managers show it. */
export function fileSize(bytes) {
  const units = ["bytes", "KB", "MB", "GB"];
  const step = Math.min(Math.floor(Math.log10(Math.max(bytes, 1)) / 3), units.length - 1);
  const value = bytes / 1000 ** step;
  return `${value.toLocaleString("en", { maximumFractionDigits: value < 10 && step > 0 ? 1 : 0 })} ${units[step]}`;
}

const PROBLEMS = {
  unsupported_format: "Not a picture",
  corrupt_image: "Damaged picture",
  empty_object: "Empty file",
  too_many_bytes: "File too large",
  too_many_pixels: "Too many pixels",
  archived_object: "Archived",
  unreadable_object: "Cannot be read",
};

/** An error code of an item in a few words. */
export const problem = (code, other = "Not embedded") => PROBLEMS[code] ?? other;
