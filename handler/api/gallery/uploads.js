/** Uploads: to the bucket with a presigned form, then watched until the search finds them. */

import { ApiError, createUpload, listItems, pause, readItem, search } from "./api.js";
import { announce, byId, count, fileSize, h, iconButton, keyOf, nameOf, problem } from "./dom.js";

const UPLOADS_AT_ONCE = 3;
const FIRST_WAIT = 500;
const LONGEST_WAIT = 5_000;
const PATIENCE = 300_000;

export class Uploads {
  /**
   * @param {{found: Function, like: Function}} actions `found` takes an item that has just become searchable
   */
  constructor(actions) {
    this.actions = actions;
    this.panel = byId("uploads");
    this.list = byId("uploads-list");
    this.waiting = [];
    this.running = 0;
    this.total = 0;
    this.done = 0;
    byId("uploads-close").addEventListener("click", () => this.#dismiss());
  }

  /** Upload files. */
  add(files) {
    if (!files.length) return;
    if (this.done === this.total) this.#dismiss();
    this.total += files.length;
    for (const file of files) this.#enqueue(file);
    this.panel.hidden = false;
    announce(`Uploading ${count(files.length, "file")}`);
  }

  #dismiss() {
    if (this.done < this.total) return this.panel.classList.toggle("small");
    this.panel.hidden = true;
    this.panel.classList.remove("small");
    this.list.replaceChildren();
    this.total = this.done = 0;
    return undefined;
  }

  #enqueue(file) {
    const row = new Row(file);
    this.list.append(row.element);
    this.waiting.push({ file, row });
    this.#next();
  }

  #next() {
    this.#summarize();
    while (this.running < UPLOADS_AT_ONCE && this.waiting.length) {
      const { file, row } = this.waiting.shift();
      this.running += 1;
      this.#run(file, row).finally(() => {
        this.running -= 1;
        this.#next();
      });
    }
  }

  /** One file's way; its slot is free again when the bytes are in the bucket. */
  async #run(file, row) {
    let source;
    try {
      source = await sendFile(file, (part) => row.progress(part));
    } catch (error) {
      return this.#failed(file, row, error);
    }
    this.#watch(source, row).catch((error) => this.#failed(file, row, error));
    return undefined;
  }

  async #watch(source, row) {
    row.say("Embedding …");
    const item = await outcome(source);
    if (item.status === "error") throw new ApiError(422, item.error_code, item.error);
    row.say("Waiting for the index …");
    const isSearchable = await indexed(item);
    row.finish(isSearchable && (() => this.actions.like(item)));
    this.#count(`${nameOf(keyOf(source))} is ready`);
    this.actions.found(item);
  }

  #failed(file, row, error) {
    const isFinal = error.status === 422 || error.code === "too_large";
    const again = () => {
      this.total += 1;
      row.element.remove();
      this.#enqueue(file);
    };
    const text = problem(error.code, error.message);
    row.fail(text, isFinal ? null : again);
    this.#count(`${file.name}: ${text}`);
  }

  #count(text) {
    this.done += 1;
    announce(text);
    this.#summarize();
  }

  #summarize() {
    const isDone = this.done === this.total;
    byId("uploads-title").textContent = isDone
      ? count(this.total, "upload")
      : `Uploading, ${this.done} of ${this.total} done`;
    byId("uploads-close").setAttribute("aria-label", isDone ? "Close the list of uploads" : "Fold the list of uploads");
  }
}

/** The line of one file. */
class Row {
  constructor(file) {
    this.bar = h("progress", { max: "1", value: "0", "aria-label": `Upload of ${file.name}` });
    this.state = h("span", { class: "state" }, `Waiting, ${fileSize(file.size)}`);
    this.action = h("span", { class: "action" });
    this.element = h(
      "li",
      {},
      h("span", { class: "name", title: file.name }, file.name),
      this.action,
      this.bar,
      this.state,
    );
  }

  progress(part) {
    this.bar.value = part;
    this.say(part < 1 ? `Uploading, ${Math.round(part * 100)} %` : "Uploaded");
  }

  say(text) {
    this.state.textContent = text;
    if (text.endsWith("…")) this.bar.removeAttribute("value");
  }

  finish(like) {
    this.element.classList.add("ready");
    this.bar.value = 1;
    this.state.textContent = like ? "Found by search" : "Stored";
    if (like) this.action.replaceChildren(iconButton("similar", "More like this", like));
  }

  fail(message, again) {
    this.element.classList.add("failed");
    this.bar.value = 0;
    this.state.textContent = message;
    if (again) this.action.replaceChildren(iconButton("retry", "Try again", again));
  }
}

/** Send a file to the bucket; returns its address. */
async function sendFile(file, onprogress) {
  const form = await createUpload(file.name, file.type || "application/octet-stream");
  if (file.size > form.max_bytes) {
    throw new ApiError(
      413,
      "too_large",
      `The file has ${fileSize(file.size)}; at most ${fileSize(form.max_bytes)} are taken.`,
    );
  }
  const body = new FormData();
  for (const [name, value] of Object.entries(form.fields)) body.append(name, value);
  body.append("file", file); // S3 ignores what follows the file
  await postForm(form.url, body, onprogress);
  return form.source;
}

/** `fetch` does not report how much has been sent. */
function postForm(url, body, onprogress) {
  return new Promise((resolve, reject) => {
    const sending = new XMLHttpRequest();
    sending.open("POST", url);
    sending.upload.onprogress = ({ loaded, total }) => onprogress(loaded / total);
    sending.onload = () =>
      sending.status < 300
        ? resolve()
        : reject(new ApiError(sending.status, "upload", `The bucket refused the file (${sending.status}).`));
    sending.onerror = () =>
      reject(
        new ApiError(0, "network", "The bucket does not answer, or does not allow uploads from this page (CORS)."),
      );
    sending.send(body);
  });
}

/** The item of an object, once there is one: a list of one key, because an item that is missing would be an error. */
async function outcome(source) {
  const key = keyOf(source);
  const find = async () => (await listItems(key)).items.find((item) => item.source === source);
  const item = await until(find);
  if (!item)
    throw new ApiError(
      0,
      "slow",
      "The file is in the bucket, but has not been embedded yet. See the function's alarms.",
    );
  return item;
}

/** Whether the index has an item's vector; false if there is no index. */
async function indexed({ source }) {
  const { embedding } = await readItem(source);
  const body = { query: { vector: embedding }, k: 1, filter: { key: keyOf(source) } };
  const find = async () => (await search(body)).hits.some((hit) => hit.source === source);
  try {
    return Boolean(await until(find));
  } catch (error) {
    if (error.code === "search_off") return false;
    throw error;
  }
}

/** Ask again and again, more and more slowly, until the answer is something; undefined after some minutes. */
async function until(find) {
  const end = performance.now() + PATIENCE;
  for (let wait = FIRST_WAIT; performance.now() < end; wait = Math.min(wait * 1.4, LONGEST_WAIT)) {
    const found = await find();
    if (found) return found;
    await pause(wait);
  }
  return undefined;
}
