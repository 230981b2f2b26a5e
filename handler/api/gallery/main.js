/** The page: its query, its history, and what its parts do together. */

import { ApiError, listItems, onTokenNeeded, readItem, search, takeTokenFromAddress } from "./api.js";
import { Detail } from "./detail.js";
import { announce, byId, count, keyOf, nameOf } from "./dom.js";
import { watchDrops } from "./drop.js";
import { Grid } from "./grid.js";
import { failure, noHits, noPictures } from "./messages.js";
import { MAX_PICTURE_CHARACTERS, readPicture } from "./pictures.js";
import { EVERYTHING, describeQuery, fromFragment, isBrowsing, searchBody, toFragment, withExample } from "./query.js";
import { SearchBar } from "./searchbar.js";
import { askForToken } from "./token.js";
import { Uploads } from "./uploads.js";

/** How near to the end of the page the next one is loaded. */
const AHEAD = "1200px 0px";

/** Pictures that the user has dropped, by number: `{name, data, url}`. */
const pictures = new Map();

let query = EVERYTHING;
let next = null;
let loading = null;
let opened = null; // the picture whose tile has opened the detail view
let isReturning = false; // history.back() was called, and its popstate event has not come yet
let afterReturn = null; // what the user did meanwhile

const grid = new Grid(byId("grid"), {
  open: (entry) => openDetail(entry),
  like: (entry) => go({ ...filters(), examples: [{ source: entry.source, sign: 1 }] }),
  plus: (entry) => go(withExample(query, { source: entry.source, sign: 1 })),
  minus: (entry) => go(withExample(query, { source: entry.source, sign: -1 })),
  near: (entry) => go({ ...filters(), near: true, examples: [{ source: entry.source, sign: 1 }] }),
});
const detail = new Detail({
  ...grid.actions,
  step: (step) => stepDetail(step),
  label: (label) => go({ ...query, labels: [...new Set([...query.labels, label])] }),
  folder: (prefix) => go({ ...EVERYTHING, prefix }),
  closed: (entry) => closedDetail(entry),
});
const bar = new SearchBar({ go, pictures, addFiles: (files) => searchWith(files) });
const uploads = new Uploads({
  found: (item) => found(item),
  like: (item) => go({ ...EVERYTHING, examples: [{ source: item.source, sign: 1 }] }),
});

/** What stays when a new example is searched for. */
const filters = () => ({ ...EVERYTHING, labels: query.labels, prefix: query.prefix, fold: query.fold });

/** An item or a hit as the grid and the detail view take it. */
function entryOf(found) {
  const key = keyOf(found.source);
  return { status: "success", duplicates: 0, ...found, key, name: nameOf(key), labels: found.labels ?? [] };
}

/* The query and the address. */

/** Search for something else, as a new entry of the browser's history. */
function go(wanted) {
  detail.close();
  leaveDetail(() => {
    history.pushState({ query: wanted }, "", addressOf(wanted));
    show(wanted);
  });
}

function addressOf(wanted, source) {
  const fragment = [toFragment(wanted), source && new URLSearchParams({ item: source })].filter(Boolean).join("&");
  return `${location.pathname}${fragment ? `#${fragment}` : ""}`;
}

/** Show what the address and the history say; also at the start. */
function restore() {
  const wanted = history.state?.query ?? fromFragment(location.hash);
  wanted.examples = wanted.examples.filter(({ picture }) => !picture || pictures.has(picture));
  const item = addressedItem();
  const isSame = JSON.stringify(wanted) === JSON.stringify(query) && grid.tiles.size > 0;
  if (!isSame) show(wanted);
  if (!item) detail.close();
  else if (detail.entry?.source !== item) openAddressed(item);
}

/** The object whose detail view the address names, or null. */
const addressedItem = () => new URLSearchParams(location.hash.slice(1)).get("item");

async function openAddressed(source) {
  try {
    const entry = grid.tiles.get(source)?.tile.entry ?? entryOf(await readItem(source));
    if (addressedItem() === source) showDetail(entry); // the user may have left meanwhile
  } catch (error) {
    announce(error.message);
  }
}

/* The list. */

function show(wanted) {
  query = wanted;
  document.body.classList.toggle("browsing", isBrowsing(query));
  next = null;
  bar.show(query);
  scrollTo({ top: 0 });
  grid.showPlaceholders();
  byId("message").replaceChildren();
  byId("status").textContent = "Searching …";
  load();
}

/** Load the first page of the query, or its next one. */
async function load() {
  loading?.abort();
  const controller = (loading = new AbortController());
  const isFirst = next === null;
  byId("grid").setAttribute("aria-busy", "true");
  try {
    const page = await readPage(controller.signal);
    if (controller.signal.aborted) return;
    if (isFirst) grid.clear();
    next = page.next;
    grid.append(page.found.map(entryOf));
    report();
  } catch (error) {
    if (controller.signal.aborted) return;
    if (isFirst) grid.clear();
    fail(error);
  } finally {
    if (loading === controller) {
      loading = null;
      byId("grid").removeAttribute("aria-busy");
    }
  }
  if (loading === null && next !== null) checkEnd();
}

async function readPage(signal) {
  if (isBrowsing(query)) {
    const page = await listItems(query.prefix, next, signal);
    return { found: page.items, next: page.next };
  }
  const page = await search({ ...searchBody(query, pictures), ...(next && { next }) }, signal);
  return { found: page.hits, next: page.next };
}

function report() {
  const shown = grid.tiles.size;
  const browsing = isBrowsing(query);
  const text = count(shown, browsing ? "picture" : "hit") + (next === null ? "" : ", and more");
  byId("status").textContent = text;
  announce(browsing ? text : `${text}, ${describeQuery(query, pictures)}`);
  bar.suggest(grid.entries);
  byId("end").hidden = next !== null || shown < 20;
  if (shown === 0 && next === null) byId("message").replaceChildren(...(browsing ? noPictures : noHits)(context()));
}

const sentinel = new IntersectionObserver((changes) => changes.some((change) => change.isIntersecting) && more(), {
  rootMargin: AHEAD,
});
sentinel.observe(byId("sentinel"));

function more() {
  if (loading === null && next !== null && !byId("message").hasChildNodes()) load();
}

/** An observer reports changes only: look again after each page. */
function checkEnd() {
  sentinel.unobserve(byId("sentinel"));
  sentinel.observe(byId("sentinel"));
}

/* Messages. */

const context = () => ({ query, pictures, go, retry });

function fail(error) {
  byId("status").textContent = "";
  if (!(error instanceof ApiError)) console.error(error);
  announce(error.message);
  byId("message").replaceChildren(...failure(error, context()));
}

function retry() {
  byId("message").replaceChildren();
  if (grid.tiles.size === 0) show(query);
  else load();
}

/* The detail view. */

/** Open an entry; Back closes it. */
function openDetail(entry) {
  leaveDetail(() => {
    history.pushState({ query, detail: true }, "", addressOf(query, entry.source));
    opened = entry.source;
    showDetail(entry);
  });
}

function showDetail(entry) {
  const beside = (step) => grid.neighbour(entry.source, step);
  detail.open(entry, { hasPrevious: Boolean(beside(-1)), hasNext: Boolean(beside(1)) });
}

function stepDetail(step) {
  const entry = detail.entry && grid.neighbour(detail.entry.source, step);
  if (!entry) return;
  history.replaceState({ query, detail: true }, "", addressOf(query, entry.source));
  showDetail(entry);
  if (!grid.neighbour(entry.source, step)) more();
}

/** The user has closed the detail view. */
function closedDetail(entry) {
  if (entry.source !== opened) grid.focus(entry.source); // the browser itself returns to the one that was opened
  leaveDetail();
}

/**
 * Let the address be the list's again, then act. The browser goes back later than it is asked to, and would undo an
 * entry of the history that is made meanwhile.
 */
function leaveDetail(act) {
  opened = null;
  if (history.state?.detail) {
    afterReturn = act ?? afterReturn;
    if (!isReturning) history.back();
    isReturning = true;
    return;
  }
  if (addressedItem() !== null) history.replaceState({ query }, "", addressOf(query));
  act?.();
}

/** The address has changed without a new page: Back, Forward, `history.back()`, or another fragment. */
function returned() {
  const act = afterReturn;
  isReturning = false;
  afterReturn = null;
  takeTokenFromAddress(); // somebody may have pasted an address with another one
  restore();
  act?.();
}

/* Files. */

/** Search with pictures of the user. */
async function searchWith(files) {
  byId("status").textContent = "Reading the picture …";
  try {
    const added = await Promise.all(
      files.map(async (file) => ({ name: file.name, data: await readPicture(file), file })),
    );
    const size = added.reduce((sum, { data }) => sum + data.length, 0);
    if (size > MAX_PICTURE_CHARACTERS)
      throw new Error("Together these pictures are too large for one search. Take fewer.");
    const examples = added.map(({ name, data, file }) => {
      const picture = String(pictures.size + 1);
      pictures.set(picture, { name, data, url: URL.createObjectURL(file) });
      return { picture, sign: 1 };
    });
    go({ ...filters(), examples });
  } catch (error) {
    fail(new ApiError(0, "file", error.message));
  }
}

/** Show an uploaded picture, if it belongs into the list that is shown. */
function found(item) {
  if (!isBrowsing(query) || !keyOf(item.source).startsWith(query.prefix)) return;
  byId("message").replaceChildren();
  grid.prepend(entryOf(item));
  report();
}

/* Start. */

watchDrops({ search: searchWith, upload: (files) => uploads.add(files) });
byId("upload").addEventListener("click", () => byId("upload-files").click());
byId("upload-files").addEventListener("change", ({ target }) => {
  uploads.add([...target.files]);
  target.value = "";
});
byId("skip").addEventListener("click", () => grid.focus());
bar.onenter = () => grid.focus();
addEventListener("popstate", returned);
addEventListener("keydown", (event) => {
  const isTyping = event.target.closest?.("input, textarea, select, dialog");
  if (isTyping || event.ctrlKey || event.metaKey || event.altKey) return;
  if (event.key === "/") {
    event.preventDefault();
    bar.focus();
  } else if (event.key === "?") {
    byId("keys").showModal();
  }
});
byId("help").addEventListener("click", () => byId("keys").showModal());
takeTokenFromAddress();
onTokenNeeded(askForToken);
restore();
