/** What is shown instead of pictures: there are none, or something failed; each with what to do next. */

import { byId, h, icon } from "./dom.js";
import { EVERYTHING, describeQuery } from "./query.js";

/**
 * @typedef {{query: import("./query.js").Query, pictures: Map, go: (query: object) => void, retry: () => void}} Context
 */

const action = (text, onclick, kind = "") => h("button", { type: "button", class: `button ${kind}`, onclick }, text);
const panel = (name, title, text, ...actions) => [
  icon(name),
  h("h2", {}, title),
  text && h("p", {}, text),
  h("div", { class: "choices" }, ...actions),
];
const showAll = ({ go }, kind) => action("Show all pictures", () => go(EVERYTHING), kind);
const tryAgain = ({ retry }) => action("Try again", retry, "primary");

/** No pictures at all, or none below a prefix. */
export function noPictures(context) {
  const { prefix } = context.query;
  if (prefix) {
    const text = "A folder ends with a slash, and case matters.";
    return panel("picture", `No pictures below ${prefix}`, text, showAll(context, "primary"));
  }
  const choose = action("Choose files", () => byId("upload-files").click(), "primary");
  const text = "Drop pictures here. They are embedded and can be searched a few seconds later.";
  return panel("picture", "No pictures yet", text, choose);
}

/** A search that finds nothing. */
export function noHits(context) {
  const { query, pictures, go } = context;
  const isFiltered = query.labels.length > 0 || query.prefix !== "";
  const wider = () => go({ ...query, labels: [], prefix: "" });
  const hasMore = isFiltered && (query.text.trim() !== "" || query.examples.length > 0);
  return panel(
    "search",
    "No hits",
    `There is nothing ${describeQuery(query, pictures)}.`,
    hasMore && action("Search without filters", wider, "primary"),
    showAll(context),
  );
}

/**
 * An error of the API or of the page.
 *
 * @param {{code?: string, message: string}} error
 * @param {Context} context
 */
export function failure(error, context) {
  return (failures[error.code] ?? otherFailure)(error, context);
}

const otherFailure = ({ message }, context) =>
  panel("broken", "That did not work", message, tryAgain(context), showAll(context));

const failures = {
  unknown_word: unknownWord,
  no_text_tower: (_, context) => {
    const text = "Search with a picture, or choose “More like this”.";
    return panel("search", "This model cannot search for words", text, showAll(context));
  },
  search_off: (_, context) => {
    const text = "Pictures can be looked at, not searched.";
    return panel("search", "This stack has no search index", text, showAll(context));
  },
  not_indexed: ({ message }, context) =>
    panel("search", "Not searchable yet", message, tryAgain(context), showAll(context)),
  invalid_request: (error, context) => {
    const { text, examples } = context.query;
    return (text.trim() && examples.length ? wordsAlone : otherFailure)(error, context);
  },
};

/** The words that are near to it become buttons. */
function unknownWord({ message }, context) {
  const { query, go } = context;
  const near = /nearest known words: (.*)$/s.exec(message)?.[1].split(", ") ?? [];
  const text = near.length
    ? "Did you mean one of these?"
    : "This model finds the words of its vocabulary only. You can also search with a picture.";
  const choices = near.map((word) => action(word, () => go({ ...query, text: word })));
  return panel("search", `The model does not know “${query.text.trim()}”`, text, ...choices, showAll(context));
}

/** A model without a text tower adds no words to pictures. */
function wordsAlone({ message }, { query, go }) {
  const onlyWords = action(`Search for “${query.text.trim()}” alone`, () => go({ ...query, examples: [] }));
  const onlyPictures = action("Search without the words", () => go({ ...query, text: "" }), "primary");
  return panel("search", "These do not go together", message, onlyPictures, onlyWords);
}
