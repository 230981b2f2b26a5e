/** The detail view of one picture, as a modal dialog. */

import { originalOf, readItem } from "./api.js";
import { byId, fileSize, folderOf, h, icon, iconButton, percent, problem, scoreText } from "./dom.js";
import { releaseThumbnail, showThumbnail } from "./pictures.js";

const PREVIEW = 1024;

/** How many times its own size a small picture is shown. */
const ENLARGED = 1.5;

const MOST_LABELS = 12;
const LEAST_SHOWN = 0.01;

/** Links to originals work for 15 minutes; they are renewed earlier. */
const LINK_MILLISECONDS = 600_000;

export class Detail {
  /**
   * @param {object} actions `like`, `plus`, `minus`, `label`, `folder`; `step` moves to the neighbour; `closed` comes
   *   when the user has closed the view
   */
  constructor(actions) {
    this.actions = actions;
    this.dialog = byId("detail");
    this.picture = byId("detail-picture");
    this.controller = null;
    this.entry = null;
    // The event may come so late that the view is open again.
    this.dialog.addEventListener("close", () => this.dialog.open || this.#leave());
    this.dialog.addEventListener("click", (event) => event.target === this.dialog && this.#leave());
    this.dialog.addEventListener("keydown", (event) => this.#key(event));
    byId("detail-close").addEventListener("click", () => this.#leave());
    byId("detail-previous").addEventListener("click", () => actions.step(-1));
    byId("detail-next").addEventListener("click", () => actions.step(1));
  }

  /** Show an entry; its item, with all that hits do not have, follows. */
  open(entry, { hasPrevious, hasNext }) {
    this.controller?.abort();
    this.controller = new AbortController();
    this.entry = entry;
    byId("detail-previous").disabled = !hasPrevious;
    byId("detail-next").disabled = !hasNext;
    this.#showPicture(entry);
    this.#showFacts(entry);
    if (!this.dialog.open) this.dialog.showModal();
    this.#complete(entry, this.controller.signal);
  }

  /** Close without a call of `closed`. The `close` event comes later and finds no entry. */
  close() {
    if (!this.entry) return;
    this.entry = null;
    this.controller.abort();
    releaseThumbnail(this.picture);
    if (this.dialog.open) this.dialog.close(); // Escape has closed it already
  }

  #leave() {
    const left = this.entry;
    this.close();
    if (left) this.actions.closed(left);
  }

  #key(event) {
    if (event.target.matches("input") || event.ctrlKey || event.metaKey || event.altKey) return;
    const steps = { ArrowLeft: -1, ArrowRight: 1 };
    if (!(event.key in steps)) return;
    event.preventDefault();
    this.actions.step(steps[event.key]);
  }

  #showPicture(entry) {
    const stage = byId("detail-stage");
    stage.classList.toggle("empty", entry.status !== "success");
    stage.dataset.problem = entry.status === "success" ? "" : problem(entry.error_code);
    releaseThumbnail(this.picture);
    this.picture.alt = entry.labels.length ? `${entry.name}: ${entry.labels[0].label}` : entry.name;
    this.picture.style.maxWidth = `${ENLARGED * (entry.width ?? PREVIEW)}px`;
    this.picture.style.maxHeight = `${ENLARGED * (entry.height ?? PREVIEW)}px`;
    this.picture.hidden = entry.status !== "success";
    if (entry.status !== "success") return;
    const onfail = (error) => {
      stage.classList.add("empty");
      stage.dataset.problem = error.message;
      this.picture.hidden = true;
    };
    showThumbnail(this.picture, entry.source, PREVIEW / devicePixelRatio, { urgent: true, onfail });
  }

  #showFacts(entry) {
    const isPicture = entry.status === "success";
    byId("detail-title").textContent = entry.name;
    this.link = h(
      "a",
      { class: "link", target: "_blank", rel: "noopener noreferrer" },
      icon("external"),
      "Open the original",
    );
    this.more = h("div", { class: "more" });
    byId("detail-facts").replaceChildren(
      isPicture ? this.#buttons(entry) : h("p", { class: "message" }, entry.error ?? problem(entry.error_code)),
      h("p", { class: "original" }, this.link),
      this.more,
    );
    this.#showMore(entry);
  }

  #showMore(entry) {
    this.more.replaceChildren(entry.labels.length ? this.#labels(entry) : "", this.#table(entry));
  }

  #buttons(entry) {
    const button = (name, text, act, kind = "") =>
      h(
        "button",
        { type: "button", class: `button ${kind}`, onclick: () => act(entry) },
        icon(name),
        text,
      );
    return h(
      "div",
      { class: "choices" },
      button("similar", "More like this", this.actions.like, "primary"),
      button("plus", "Add", this.actions.plus),
      button("minus", "Exclude", this.actions.minus),
    );
  }

  #labels(entry) {
    const row = ({ label, score }) =>
      h(
        "li",
        {},
        h(
          "button",
          {
            type: "button",
            class: "chip",
            title: `Only pictures labelled ${label}`,
            onclick: () => this.actions.label(label),
          },
          label,
        ),
        barOf(score),
        h("span", { class: "number" }, percent(score)),
      );
    return h(
      "section",
      { "aria-label": "Labels" },
      h("h3", {}, "Labels"),
      h(
        "ul",
        { class: "labels" },
        ...entry.labels
          .filter(({ score }) => score >= LEAST_SHOWN)
          .slice(0, MOST_LABELS)
          .map(row),
      ),
    );
  }

  #table(entry) {
    const folder = folderOf(entry.key);
    const crumb = h(
      "button",
      { type: "button", class: "crumb", onclick: () => this.actions.folder(folder) },
      folder,
    );
    const copy = iconButton("copy", "Copy the address", () => this.#copy(entry.source, copy));
    const rows = [
      ["Folder", folder && crumb],
      ["Size", entry.width && `${entry.width} × ${entry.height}`],
      ["File", [entry.format?.toUpperCase(), entry.bytes && fileSize(entry.bytes)].filter(Boolean).join(", ")],
      [
        "Score",
        scoreText(entry) &&
          h("span", {}, scoreText(entry), h("small", {}, entry.label_score === undefined ? " cosine" : " probability")),
      ],
      ["Embedded", entry.updated_at && new Date(entry.updated_at).toLocaleString()],
      ["Model", entry.model],
      ["Address", h("span", { class: "address" }, h("code", {}, entry.source), copy)],
    ];
    return h(
      "dl",
      {},
      ...rows.filter(([, value]) => value).flatMap(([name, value]) => [h("dt", {}, name), h("dd", {}, value)]),
    );
  }

  async #copy(text, button) {
    await navigator.clipboard?.writeText(text).then(
      () => {
        button.classList.add("done");
        setTimeout(() => button.classList.remove("done"), 1500);
      },
      () => {},
    );
  }

  async #complete(entry, signal) {
    try {
      await Promise.all([entry.bytes === undefined && this.#readItem(entry, signal), this.#keepLink(entry, signal)]);
    } catch (error) {
      if (!signal.aborted) byId("detail-facts").prepend(h("p", { class: "message", role: "alert" }, error.message));
    }
  }

  /** Hits have less than items: get the rest. */
  async #readItem(entry, signal) {
    const { embedding: _, ...item } = await readItem(entry.source, signal);
    if (signal.aborted) return;
    Object.assign(entry, { ...item, labels: item.labels ?? entry.labels });
    this.#showMore(entry);
  }

  async #keepLink(entry, signal) {
    const { url } = await originalOf(entry.source, signal);
    if (signal.aborted) return;
    this.link.href = url;
    const timer = setTimeout(() => this.#keepLink(entry, signal).catch(() => {}), LINK_MILLISECONDS);
    signal.addEventListener("abort", () => clearTimeout(timer));
  }
}

/** A number from 0 to 1 as a bar; the number itself is beside it. */
function barOf(value) {
  const filled = h("span");
  filled.style.width = percent(value).replace(" ", "");
  return h("span", { class: "bar", "aria-hidden": "true" }, filled);
}
