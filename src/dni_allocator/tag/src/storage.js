/**
 * JSON records in the browser, as far as the visitor's consent goes: `full` keeps them in
 * localStorage, shared by the tabs of a site, `session` in sessionStorage, `none` nowhere.
 *
 * Storage may be blocked (an exception on the very first touch), full, or hold what somebody else
 * wrote. Then, and with `none`, a record lives in memory for as long as the page does.
 */

/** @type {Record<string, object>} */
let memory = {};

/** @type {string | undefined} */
export let consent;

/** Names of properties: touching the store itself may throw. @type {Record<string, any>} */
const stores = { full: "localStorage", session: "sessionStorage" };

/**
 * @param {string} name
 * @returns {Record<string, any>} the record, or an empty one; never null, never an exception
 */
export function read(name) {
  let record;
  try {
    record = JSON.parse(window[stores[consent]].getItem(name));
  } catch (blockedOrBroken) {
    // As if there were none.
  }
  return (Object(record) === record ? record : memory[name]) || {};
}

/**
 * @param {string} name
 * @param {object} record
 */
export function write(name, record) {
  memory[name] = record;
  try {
    window[stores[consent]].setItem(name, JSON.stringify(record));
  } catch (blockedOrFull) {
    // The copy in memory serves this page view.
  }
}

/**
 * Go by another consent. What a wider one had stored is removed.
 *
 * @param {string} given
 * @param {string[]} names of the records
 */
export function setConsent(given, names) {
  consent = given;
  memory = {};
  Object.values(stores).forEach((store) => {
    try {
      if (given !== "full") names.forEach((name) => window[store].removeItem(name));
    } catch (blocked) {
      // Then there is nothing to remove.
    }
  });
}
