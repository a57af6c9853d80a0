/**
 * JSON records in localStorage, shared by the tabs of a site.
 *
 * Storage may be blocked (an exception on the very first touch), full, or hold what somebody else
 * wrote. Then a record lives in memory for as long as the page does.
 */

/** @type {Record<string, object>} */
const memory = {};

/**
 * @param {string} name
 * @returns {Record<string, any>} the record, or an empty one; never null, never an exception
 */
export function read(name) {
  let record;
  try {
    record = JSON.parse(localStorage.getItem(name) || "null");
  } catch (blockedOrBroken) {
    record = null;
  }
  return (record && typeof record === "object" ? record : memory[name]) || {};
}

/**
 * @param {string} name
 * @param {object} record
 */
export function write(name, record) {
  memory[name] = record;
  try {
    localStorage.setItem(name, JSON.stringify(record));
  } catch (blockedOrFull) {
    // The copy in memory serves this page view.
  }
}
