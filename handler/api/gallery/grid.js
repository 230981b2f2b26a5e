/** The grid of pictures: tiles in rows of equal height, one of which takes part in the order of the Tab key. */

import { count, h, icon, iconButton, problem, scoreText } from "./dom.js";
import { releaseThumbnail, showThumbnail } from "./pictures.js";

const NARROWEST = 0.6;
const WIDEST = 2.4;

/** How far outside the window pictures are loaded, and kept. */
const MARGIN = "600px 0px";

/**
 * @typedef {{source: string, key: string, name: string, status: string, error_code?: string, width?: number,
 *   height?: number, labels: {label: string, score: number}[], score?: number, label_score?: number,
 *   duplicates: number}} Entry an item or a hit
 */

export class Grid {
  /**
   * @param {HTMLElement} list
   * @param {{open: Function, like: Function, plus: Function, minus: Function, near: Function}} actions each takes an
   *   entry
   */
  constructor(list, actions) {
    this.list = list;
    this.actions = actions;
    this.tiles = new Map(); // by source
    this.observer = new IntersectionObserver((changes) => changes.forEach((change) => this.#seen(change)), {
      rootMargin: MARGIN,
    });
    list.addEventListener("keydown", (event) => this.#key(event));
    list.addEventListener("focusin", (event) => this.#focused(event.target.closest(".tile")));
  }

  get entries() {
    return [...this.list.children].map((tile) => tile.entry).filter(Boolean);
  }

  clear() {
    this.observer.disconnect();
    for (const { tile } of this.tiles.values()) releaseThumbnail(tile.picture);
    this.tiles.clear();
    this.list.replaceChildren();
  }

  /** Grey tiles while the first page is on its way. */
  showPlaceholders() {
    this.clear();
    const shapes = [1.5, 1, 1.33, 0.75, 1.78, 1.33, 1, 1.5, 0.8, 1.6, 1.33, 1, 1.5, 0.75, 1.4, 1.2];
    this.list.append(
      ...shapes.map((shape) => shaped(h("li", { class: "tile placeholder", "aria-hidden": "true" }), shape)),
    );
  }

  /** Add entries at the end; those that are shown already are left out. */
  append(entries) {
    this.#add(entries, (tiles) => this.list.append(...tiles));
  }

  prepend(entry) {
    this.#remove(entry.source);
    this.#add([entry], (tiles) => this.list.prepend(...tiles));
  }

  /** The entry beside another one. */
  neighbour(source, step) {
    const tile = this.tiles.get(source)?.tile;
    return (step > 0 ? tile?.nextElementSibling : tile?.previousElementSibling)?.entry;
  }

  /** Focus a picture; the first one without a source. */
  focus(source) {
    const tile = this.tiles.get(source)?.tile ?? this.list.querySelector(".tile:not(.placeholder)");
    tile?.opener.focus();
  }

  #add(entries, insert) {
    const fresh = entries.filter(({ source }) => !this.tiles.has(source));
    const tiles = fresh.map((entry) => this.#tile(entry));
    insert(tiles);
    tiles.forEach((tile) => this.observer.observe(tile));
    if (!this.list.querySelector(".open[tabindex='0']")) this.#focused(this.list.firstElementChild);
  }

  #remove(source) {
    const known = this.tiles.get(source);
    if (!known) return;
    this.observer.unobserve(known.tile);
    releaseThumbnail(known.tile.picture);
    known.tile.remove();
    this.tiles.delete(source);
  }

  #tile(entry) {
    const picture = h("img", { alt: "", decoding: "async", draggable: "false" });
    const score = scoreText(entry);
    const isPicture = entry.status === "success";
    const opener = h(
      "button",
      {
        type: "button",
        class: "open",
        tabindex: "-1",
        "aria-label": titleOf(entry, score),
        onclick: () => this.actions.open(entry),
      },
      isPicture ? picture : h("span", { class: "problem" }, icon("broken"), problem(entry.error_code)),
      h(
        "span",
        { class: "caption", "aria-hidden": "true" },
        h("span", { class: "name" }, entry.name),
        this.#captionLabel(entry),
      ),
    );
    const tile = h(
      "li",
      { class: "tile" },
      opener,
      score && h("span", { class: "score", "aria-hidden": "true" }, score),
      isPicture && this.#buttons(entry),
      entry.duplicates > 0 && this.#fold(entry),
    );
    Object.assign(tile, { entry, opener, picture });
    this.tiles.set(entry.source, { tile });
    return shaped(tile, (entry.width ?? 1) / (entry.height ?? 1));
  }

  #captionLabel(entry) {
    const [first] = entry.labels;
    return first ? h("span", { class: "label" }, first.label) : null;
  }

  /** Buttons for the pointer; the keyboard has keys, and the detail view has the same buttons. */
  #buttons(entry) {
    const button = (name, label, act) => iconButton(name, label, () => act(entry), { tabindex: "-1" });
    return h(
      "div",
      { class: "actions" },
      button("similar", `More like ${entry.name}`, this.actions.like),
      button("plus", `Add ${entry.name} to the search`, this.actions.plus),
      button("minus", `Search for what is unlike ${entry.name}`, this.actions.minus),
    );
  }

  #fold(entry) {
    const text = `Show ${count(entry.duplicates, "near-duplicate")} of ${entry.name}`;
    const attributes = { type: "button", class: "fold", tabindex: "-1", title: text, "aria-label": text };
    return h(
      "button",
      { ...attributes, onclick: () => this.actions.near(entry) },
      icon("stack"),
      `+${entry.duplicates}`,
    );
  }

  #seen({ target, isIntersecting, boundingClientRect: box }) {
    if (target.entry.status !== "success") return;
    if (isIntersecting) {
      const onfail = (error) => target.classList.toggle("failed", error.status !== 401);
      showThumbnail(target.picture, target.entry.source, Math.max(box.width, box.height), { onfail });
    } else {
      releaseThumbnail(target.picture);
    }
  }

  #focused(tile) {
    if (!tile?.opener) return;
    for (const opener of this.list.querySelectorAll(".open[tabindex='0']")) opener.tabIndex = -1;
    tile.opener.tabIndex = 0;
  }

  #key(event) {
    const tile = event.target.closest(".tile");
    if (!tile?.entry || event.ctrlKey || event.metaKey || event.altKey) return;
    const steps = { ArrowRight: 1, ArrowLeft: -1, ArrowDown: "down", ArrowUp: "up", Home: "first", End: "last" };
    const acts = { m: "like", "+": "plus", "-": "minus", d: "near" };
    if (event.key in steps) {
      event.preventDefault();
      this.#move(tile, steps[event.key]);
    } else if (event.key in acts && tile.entry.status === "success") {
      event.preventDefault();
      if (event.key !== "d" || tile.entry.duplicates) this.actions[acts[event.key]](tile.entry);
    }
  }

  #move(tile, step) {
    const tiles = [...this.list.children];
    const at = tiles.indexOf(tile);
    const targets = {
      first: 0,
      last: tiles.length - 1,
      down: this.#inNextRow(tiles, at, 1),
      up: this.#inNextRow(tiles, at, -1),
    };
    const target = tiles[typeof step === "number" ? at + step : targets[step]];
    target?.opener?.focus();
    target?.scrollIntoView({ block: "nearest" });
  }

  /** The number of the tile below or above; undefined in the last or first row. */
  #inNextRow(tiles, at, step) {
    const middle = ({ offsetLeft, offsetWidth }) => offsetLeft + offsetWidth / 2;
    const from = tiles[at];
    let best;
    let row;
    for (let number = at + step; tiles[number]; number += step) {
      const top = tiles[number].offsetTop;
      if (top === from.offsetTop) continue;
      row ??= top;
      if (top !== row) break;
      const distance = Math.abs(middle(tiles[number]) - middle(from));
      if (best === undefined || distance < best.distance) best = { number, distance };
    }
    return best?.number;
  }
}

/** Give a tile the shape of its picture, within limits. */
function shaped(tile, shape) {
  tile.style.setProperty("--shape", Math.min(Math.max(shape || 1, NARROWEST), WIDEST).toFixed(4));
  return tile;
}

function titleOf(entry, score) {
  const [first] = entry.labels;
  const parts = [
    entry.name,
    first?.label,
    score && `score ${score}`,
    entry.status === "error" && problem(entry.error_code),
  ];
  return parts.filter(Boolean).join(", ");
}
