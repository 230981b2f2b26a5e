/** The HTTP API: the token, requests, retries and errors. */

const STORAGE_KEY = "dropvec-token";
const ATTEMPTS = 4;
const BUSY = new Set([429, 502, 503, 504]);

/** An answer other than success. `code` is the API's stable `error_code`; `network` if there is no answer. */
export class ApiError extends Error {
  constructor(status, code, message) {
    super(message);
    this.status = status;
    this.code = code;
  }
}

let token = sessionStorage.getItem(STORAGE_KEY) ?? "";
let asking = null;
let ask = async () => "";

/** Set what asks the user for a token: a function of a message, with a promise of the token. */
export function onTokenNeeded(question) {
  ask = question;
}

/** Keep a token until the browser's tab is closed. */
function keepToken(text) {
  token = text;
  sessionStorage.setItem(STORAGE_KEY, text);
}

/** Take the token out of the address, where `#token=…` may have it, so that neither history nor bookmarks keep it. */
export function takeTokenFromAddress() {
  const fragment = new URLSearchParams(location.hash.slice(1));
  const given = fragment.get("token");
  if (given === null) return;
  fragment.delete("token");
  keepToken(given.trim());
  history.replaceState(null, "", `${location.pathname}${fragment.size ? `#${fragment}` : ""}`);
}

/** Ask for a token once, however many requests need one. */
async function renewToken(refused, message) {
  if (token !== refused) return; // another request has got a new one meanwhile
  asking ??= ask(message).then((text) => {
    keepToken(text);
    asking = null;
  });
  await asking;
}

/**
 * Send a request and return its successful response.
 *
 * @param {string} path relative to the page, with its query
 * @param {{json?: object, accept?: string, signal?: AbortSignal}} options
 * @throws {ApiError} the API has refused it, or does not answer
 */
export async function request(path, { json, accept, signal } = {}) {
  for (let attempt = 1; ; attempt += 1) {
    if (!token) await renewToken("", "");
    const used = token;
    let response;
    try {
      response = await sendRequest(path, { json, accept, signal });
    } catch (error) {
      if (error.name === "AbortError") throw error;
      if (attempt >= 2)
        throw new ApiError(0, "network", "The API does not answer. Check the connection, then try again.");
      await pause(500, signal);
      continue;
    }
    if (response.ok) return response;
    if (response.status === 401) {
      await renewToken(used, "The token was refused. It may have been renewed.");
      attempt = 0;
    } else if (BUSY.has(response.status) && attempt < ATTEMPTS) {
      const seconds = Number(response.headers.get("retry-after")) || 0.4 * 2 ** attempt;
      await pause(1000 * seconds * (0.75 + Math.random() / 2), signal);
    } else {
      throw await errorOf(response);
    }
  }
}

function sendRequest(path, { json, accept, signal }) {
  const headers = { authorization: `Bearer ${token}` };
  if (accept) headers.accept = accept;
  if (json === undefined) return fetch(path, { headers, signal });
  headers["content-type"] = "application/json";
  return fetch(path, { method: "POST", headers, body: JSON.stringify(json), signal });
}

async function errorOf(response) {
  const body = await response.json().catch(() => ({}));
  if (response.status === 429)
    return new ApiError(429, "throttled", "The API has too many requests. Try again in a moment.");
  return new ApiError(
    response.status,
    body.error_code ?? "unknown",
    body.error ?? `The API answered ${response.status}.`,
  );
}

/** Wait, unless the signal aborts. */
export function pause(milliseconds, signal) {
  return new Promise((resolve, reject) => {
    const timer = setTimeout(resolve, milliseconds);
    signal?.addEventListener("abort", () => {
      clearTimeout(timer);
      reject(signal.reason);
    });
  });
}

const withQuery = (path, parameters) => `${path}?${new URLSearchParams(parameters)}`;
const inJson = async (path, options) => (await request(path, options)).json();

export const search = (body, signal) => inJson("search", { json: body, signal });
export const readItem = (source, signal) => inJson(withQuery("items", { source }), { signal });
export const createUpload = (filename, content_type, signal) =>
  inJson("uploads", { json: { filename, content_type }, signal });

/** A page of items in the order of their keys. */
export function listItems(prefix, next, signal) {
  const parameters = { ...(prefix && { prefix }), ...(next && { next }) };
  return inJson(withQuery("items", parameters), { signal });
}

/** A link to the original that works for some minutes. */
export const originalOf = (source, signal) =>
  inJson(withQuery("images", { source }), { accept: "application/json", signal });

/** A small picture. The browser keeps it, and asks again with its ETag. */
export const readThumbnail = async (source, size) => (await request(withQuery("thumbnails", { source, size }))).blob();
