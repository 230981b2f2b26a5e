/** Thumbnails as blobs, at most six under way; and pictures of the user, made small enough for a request. */

import { readThumbnail } from "./api.js";

/** How many are under way at most. It begins with less: more at once start more instances of the function. */
const MOST_AT_ONCE = 6;
let atOnce = 2;

const SIZES = [192, 256, 384, 512, 768, 1024];

/** A file up to this size is sent as it is. */
const SMALL_BYTES = 400_000;
const SHRUNK_SIDE = 1024;

/** What one request may carry in pictures, in characters of base64: 4 MB with room for the rest. */
export const MAX_PICTURE_CHARACTERS = 3_900_000;

/** The jobs that wait, first come first served, and those under way. */
const waiting = [];
const jobs = new Map();
let running = 0;

/**
 * Show the thumbnail of an object in an `img`. The blob's URL is revoked by `releaseThumbnail`.
 *
 * @param {HTMLImageElement} image
 * @param {string} source
 * @param {number} side the longest side in CSS pixels
 * @param {{urgent?: boolean, onfail?: (error: Error) => void}} options `urgent` goes before all that wait
 */
export function showThumbnail(image, source, side, { urgent = false, onfail } = {}) {
  releaseThumbnail(image);
  const size = SIZES.find((each) => each >= side * devicePixelRatio) ?? SIZES.at(-1);
  const job = { image, source, size, onfail, isReleased: false, url: null };
  jobs.set(image, job);
  if (urgent) waiting.unshift(job);
  else waiting.push(job);
  startNext();
}

/** Cancel the thumbnail of an `img`, or free its memory. A request under way ends by itself: the function works on it. */
export function releaseThumbnail(image) {
  const job = jobs.get(image);
  if (!job) return;
  jobs.delete(image);
  const place = waiting.indexOf(job);
  if (place >= 0) waiting.splice(place, 1);
  job.isReleased = true;
  if (job.url) {
    URL.revokeObjectURL(job.url);
    image.removeAttribute("src");
    image.classList.remove("loaded");
  }
}

function startNext() {
  while (running < atOnce && waiting.length) {
    running += 1;
    loadThumbnail(waiting.shift()).finally(() => {
      running -= 1;
      atOnce = Math.min(atOnce + 1, MOST_AT_ONCE);
      startNext();
    });
  }
}

async function loadThumbnail(job) {
  const { image } = job;
  try {
    const blob = await readThumbnail(job.source, job.size);
    if (job.isReleased) return;
    job.url = URL.createObjectURL(blob);
    image.src = job.url;
    await image.decode();
    image.classList.add("loaded");
  } catch (error) {
    if (!job.isReleased) job.onfail?.(error);
  }
}

/**
 * A file as base64 for `POST /search`. Large ones are scaled down here, if the browser can decode them.
 *
 * @throws {Error} it is too large, and the browser cannot decode it
 */
export async function readPicture(file) {
  let data = file;
  if (file.size > SMALL_BYTES) data = (await shrink(file)) ?? file;
  if (data.size > (MAX_PICTURE_CHARACTERS * 3) / 4) {
    throw new Error(
      `${file.name} is too large to search with, and this browser cannot scale it down. Upload it instead.`,
    );
  }
  return toBase64(data);
}

async function shrink(file) {
  try {
    const bitmap = await createImageBitmap(file);
    const scale = Math.min(1, SHRUNK_SIDE / Math.max(bitmap.width, bitmap.height));
    const canvas = document.createElement("canvas");
    canvas.width = Math.max(1, Math.round(bitmap.width * scale));
    canvas.height = Math.max(1, Math.round(bitmap.height * scale));
    const context = canvas.getContext("2d");
    context.imageSmoothingQuality = "high";
    context.fillStyle = "#fff"; // JPEG has no transparency
    context.fillRect(0, 0, canvas.width, canvas.height);
    context.drawImage(bitmap, 0, 0, canvas.width, canvas.height);
    bitmap.close();
    return await new Promise((resolve) => canvas.toBlob(resolve, "image/jpeg", 0.9));
  } catch {
    return null; // a format that only the server decodes
  }
}

function toBase64(blob) {
  return new Promise((resolve, reject) => {
    const reader = new FileReader();
    reader.onload = () => resolve(reader.result.slice(reader.result.indexOf(",") + 1));
    reader.onerror = () => reject(new Error("The file cannot be read."));
    reader.readAsDataURL(blob);
  });
}
