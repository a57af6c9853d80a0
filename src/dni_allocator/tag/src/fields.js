/**
 * The marketing data that go with a lease: touches, advertisers' cookies, and what the page
 * has told us. Kept within what the service takes: 64 fields of 512 characters.
 */

import { consent } from "./storage.js";
import { visitor } from "./visitor.js";

const MOST_FIELDS = 64;
const LONGEST_FIELD = 512;

/** @type {Record<string, unknown>} what the page told with `dni("set", …)` */
export const given = {};

/**
 * @param {string} text
 * @param {number} length
 * @returns {string} never ends with half of a surrogate pair, which is no valid Unicode
 */
export function cut(text, length) {
  return text.slice(0, length).replace(/[\ud800-\udbff]$/, "");
}

/** @returns {Record<string, string>} the ones the service would take */
export function fields() {
  /** @type {Record<string, any>} */
  const all = {};
  /** @type {Record<string, string>} */
  const taken = {};
  if (consent === "none") return taken;
  Object.assign(all, visitor.last);
  for (const name in visitor.first) all["first_" + name] = visitor.first[name];
  // Advertisers' cookies; of Google Analytics' the part that is the client id.
  document.cookie.replace(
    /(_fb[cp]|_ga)=(?:GA\d\.\d\.)?([^;]+)/g,
    (_, name, value) => (all[name] = value),
  );
  Object.assign(all, given);
  Object.keys(all)
    .filter((name) => /^[\w.-]{1,64}$/.test(name) && /^(st|nu|bo)/.test(typeof all[name]))
    .slice(0, MOST_FIELDS)
    .forEach((name) => (taken[name] = cut(all[name] + "", LONGEST_FIELD)));
  return taken;
}
