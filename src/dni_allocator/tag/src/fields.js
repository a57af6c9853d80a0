/**
 * The marketing data that go with a lease: touches, advertisers' cookies, and what the page
 * has told us. Kept within what the service takes: 64 fields of 512 characters.
 */

import { visitor } from "./visitor.js";

const MOST_FIELDS = 64;
const LONGEST_FIELD = 512;

/** @type {Record<string, unknown>} what the page told with `dni("set", …)` */
export const given = {};

/** @returns {Record<string, string>} the ones the service would take */
export function fields() {
  /** @type {Record<string, any>} */
  const all = {};
  /** @type {Record<string, string>} */
  const taken = {};
  Object.assign(all, visitor.last);
  for (const name in visitor.first) all["first_" + name] = visitor.first[name];
  // Advertisers' cookies; of Google Analytics' the part that is the client id.
  document.cookie.replace(
    /\b(_fb[cp]|_ga)=(?:GA\d\.\d\.)?([^;]+)/g,
    (_, name, value) => (all[name] = value),
  );
  Object.assign(all, given);
  let left = MOST_FIELDS;
  for (const name in all)
    if (left && /^[\w.-]{1,64}$/.test(name) && /^(st|nu|bo)/.test(typeof all[name])) {
      left--;
      // Whole characters: half of a surrogate pair is no valid Unicode.
      taken[name] = [...(all[name] + "")].slice(0, LONGEST_FIELD).join("");
    }
  return taken;
}
