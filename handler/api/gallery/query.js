/** What is searched for: a plain value, its request, and its form in the address. */

import { keyOf, nameOf } from "./dom.js";

export const PAGE = 60;
const MINUS = -0.5;
const SIMILAR = 0.98;

/**
 * @typedef {{source?: string, picture?: string, sign: 1 | -1}} Example a stored image, or the number of a picture
 * @typedef {{text: string, examples: Example[], labels: string[], prefix: string, fold: boolean, near: boolean}} Query
 *   `near` finds only near-duplicates of the example.
 */

/** @type {Query} */
export const EVERYTHING = Object.freeze({ text: "", examples: [], labels: [], prefix: "", fold: true, near: false });

const isSameExample = (one, other) => one.source === other.source && one.picture === other.picture;

/** The query with one more example; an equal one gets the new sign. */
export function withExample(query, example) {
  const others = query.examples.filter((each) => !isSameExample(each, example));
  return { ...query, near: false, examples: [...others, example] };
}

export const withoutExample = (query, example) => ({
  ...query,
  near: false,
  examples: query.examples.filter((each) => !isSameExample(each, example)),
});

/** The query with a label added to its filter, or taken out of it. */
export function toggleLabel(query, label) {
  const has = query.labels.includes(label);
  return { ...query, labels: has ? query.labels.filter((each) => each !== label) : [...query.labels, label] };
}

/** Whether all pictures are shown in the order of their keys, instead of hits. */
export const isBrowsing = (query) => !query.text.trim() && !query.examples.length && !query.labels.length;

/** `beach -people -"red cars"` -> the words to find, and those to avoid. */
function parseWords(text) {
  const avoided = [];
  const wanted = text.replace(/(^|\s)-(?:"([^"]*)"|(\S+))/g, (_, space, quoted, word) => {
    avoided.push((quoted ?? word).trim());
    return space;
  });
  return { wanted: wanted.trim().replace(/\s+/g, " "), avoided: avoided.filter(Boolean) };
}

/**
 * The body of `POST /search`. Labels alone are searched for by the first one's name, which ranks the hits.
 *
 * @param {Query} query
 * @param {Map<string, {data: string}>} pictures by number, with base64
 */
export function searchBody(query, pictures) {
  const { wanted, avoided } = parseWords(query.text);
  const terms = [
    ...(wanted ? [{ text: wanted }] : []),
    ...query.examples.map(({ source, picture, sign }) => ({
      ...(source ? { source } : { image: pictures.get(picture).data }),
      ...(sign < 0 && { weight: MINUS }),
    })),
    ...avoided.map((text) => ({ text, weight: MINUS })),
  ];
  if (!terms.length) terms.push({ text: query.labels[0] });
  const filter = filterOf(query);
  return {
    query: terms,
    k: PAGE,
    ...(filter && { filter }),
    ...(query.near && { min_score: SIMILAR }),
    ...(query.fold && !query.near && { dedupe: SIMILAR }),
  };
}

function filterOf({ labels, prefix }) {
  const parts = labels.map((label) => ({ labels: { $in: [label] } }));
  if (prefix) parts.push({ key: { $startsWith: prefix } });
  return parts.length > 1 ? { $and: parts } : parts[0];
}

/** The query as the address has it behind `#`; dropped pictures are not part of it. */
export function toFragment(query) {
  const fragment = new URLSearchParams();
  if (query.text.trim()) fragment.set("q", query.text.trim());
  for (const { source, sign } of query.examples) if (source) fragment.append(sign < 0 ? "unlike" : "like", source);
  for (const label of query.labels) fragment.append("label", label);
  if (query.prefix) fragment.set("prefix", query.prefix);
  if (query.near) fragment.set("near", "1");
  if (!query.fold) fragment.set("fold", "0");
  return fragment.toString();
}

/** The query of an address. */
export function fromFragment(hash) {
  const fragment = new URLSearchParams(hash.replace(/^#/, ""));
  const sources = (name, sign) =>
    fragment
      .getAll(name)
      .filter((one) => /^s3:\/\/[^/]+\/./.test(one))
      .map((source) => ({ source, sign }));
  return {
    text: fragment.get("q") ?? "",
    examples: [...sources("like", 1), ...sources("unlike", -1)],
    labels: fragment.getAll("label"),
    prefix: fragment.get("prefix") ?? "",
    fold: fragment.get("fold") !== "0",
    near: fragment.get("near") === "1",
  };
}

/** The query in words, for screen readers and messages. */
export function describeQuery(query, pictures) {
  const named = ({ source, picture }) =>
    source ? nameOf(keyOf(source)) : (pictures.get(picture)?.name ?? "a picture");
  const signed = (sign) => query.examples.filter((each) => each.sign === sign).map(named);
  const [like, unlike] = [signed(1), signed(-1)];
  return [
    query.text.trim() && `“${query.text.trim()}”`,
    like.length && `${query.near ? "near-duplicates of" : "like"} ${like.join(" and ")}`,
    unlike.length && `unlike ${unlike.join(" and ")}`,
    query.labels.length && `labelled ${query.labels.join(" and ")}`,
    query.prefix && `below ${query.prefix}`,
  ]
    .filter(Boolean)
    .join(", ");
}
