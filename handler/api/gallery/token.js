/** The form that asks for the token. */

import { byId } from "./dom.js";

/**
 * Ask until a token is given.
 *
 * @param {string} message why, if the last one was refused
 * @returns {Promise<string>}
 */
export function askForToken(message) {
  const dialog = byId("token");
  const field = byId("token-field");
  const problem = byId("token-problem");
  const say = (text) => {
    problem.textContent = text;
    field.setAttribute("aria-invalid", text ? "true" : "false");
  };
  say(message);
  field.value = "";
  dialog.showModal();
  field.focus();
  return new Promise((resolve) => {
    const onSubmit = (event) => {
      event.preventDefault();
      const text = field.value.trim();
      // What a header cannot carry is no token.
      if (!/^[\x21-\x7e]+$/.test(text)) return say("A token consists of letters and digits, without spaces.");
      byId("token-form").removeEventListener("submit", onSubmit);
      dialog.removeEventListener("cancel", onCancel);
      dialog.close();
      return resolve(text);
    };
    const onCancel = (event) => event.preventDefault(); // nothing can be shown without a token
    byId("token-form").addEventListener("submit", onSubmit);
    dialog.addEventListener("cancel", onCancel);
  });
}
