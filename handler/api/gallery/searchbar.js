/** The search field with its examples, and the row of filters below it. */

import { byId, folderOf, h, icon, iconButton, keyOf, nameOf } from "./dom.js";
import { releaseThumbnail, showThumbnail } from "./pictures.js";
import { toggleLabel, withExample, withoutExample } from "./query.js";

const SUGGESTED = 14;
const LEAST_PROBABILITY = 0.3;

export class SearchBar {
  /**
   * @param {{go: Function, pictures: Map, addFiles: Function}} actions `go` takes a query
   */
  constructor({ go, pictures, addFiles }) {
    this.go = go;
    this.pictures = pictures;
    this.query = null;
    this.onenter = () => {};
    this.field = byId("words");
    byId("search").addEventListener("submit", (event) => {
      event.preventDefault();
      this.go({ ...this.query, near: false, text: this.field.value });
    });
    this.field.addEventListener("keydown", (event) => {
      if (event.key !== "ArrowDown") return;
      event.preventDefault();
      this.onenter();
    });
    byId("clear").addEventListener("click", () => {
      this.go({ ...this.query, text: "", examples: [], near: false });
      this.field.focus();
    });
    byId("picture").addEventListener("click", () => byId("picture-files").click());
    byId("picture-files").addEventListener("change", ({ target }) => {
      if (target.files.length) addFiles([...target.files]);
      target.value = "";
    });
    byId("prefix").addEventListener("change", ({ target }) => this.go({ ...this.query, prefix: target.value.trim() }));
    byId("fold").addEventListener("change", ({ target }) => this.go({ ...this.query, fold: target.checked }));
  }

  focus() {
    this.field.focus();
    this.field.select();
  }

  /** Show a query. */
  show(query) {
    this.query = query;
    this.field.value = query.text;
    byId("prefix").value = query.prefix;
    byId("fold").checked = query.fold;
    byId("clear").hidden = !query.text && !query.examples.length;
    for (const image of byId("examples").querySelectorAll("img")) releaseThumbnail(image);
    byId("examples").replaceChildren(...query.examples.map((example) => this.#example(example)));
    this.#showLabels(byId("labels").suggested ?? []);
  }

  #example(example) {
    const { source, picture, sign } = example;
    const name = source ? nameOf(keyOf(source)) : this.pictures.get(picture).name;
    const image = h("img", { alt: "", width: "32", height: "32" });
    if (source) showThumbnail(image, source, 96, { urgent: true });
    else image.src = this.pictures.get(picture).url;
    const turn = () => this.go(withExample(this.query, { ...example, sign: -sign }));
    const kind = sign > 0 ? "like" : "unlike";
    return h(
      "li",
      { class: `example ${kind}`, title: `${kind} ${name}` },
      iconButton(sign > 0 ? "plus" : "minus", `${sign > 0 ? "Like" : "Unlike"} ${name}: turn around`, turn),
      image,
      iconButton("close", `Remove ${name} from the search`, () => this.go(withoutExample(this.query, example))),
    );
  }

  /** Offer the best labels and the folders of the pictures that are shown. */
  suggest(entries) {
    const numbers = new Map();
    for (const { labels } of entries) {
      const [first] = labels;
      if (first?.score >= LEAST_PROBABILITY) numbers.set(first.label, (numbers.get(first.label) ?? 0) + 1);
    }
    byId("labels").suggested = [...numbers].sort(([, one], [, other]) => other - one).map(([label]) => label);
    this.#showLabels(byId("labels").suggested);
    const folders = new Set(entries.map(({ key }) => folderOf(key)).filter(Boolean));
    byId("folders").replaceChildren(...[...folders].slice(0, 50).map((value) => h("option", { value })));
  }

  #showLabels(suggested) {
    const chosen = this.query.labels;
    const others = suggested.filter((label) => !chosen.includes(label)).slice(0, SUGGESTED);
    const chip = (label, isChosen) =>
      h(
        "li",
        {},
        h(
          "button",
          {
            type: "button",
            class: "chip",
            "aria-pressed": String(isChosen),
            onclick: () => this.go(toggleLabel(this.query, label)),
          },
          label,
          isChosen && icon("close"),
        ),
      );
    byId("labels").replaceChildren(
      ...chosen.map((label) => chip(label, true)),
      ...others.map((label) => chip(label, false)),
    );
  }
}
