/** One number of an answer, and what makes it fit to be shown. */

/**
 * @typedef {object} Row
 * @property {string} destination E.164
 * @property {string} number E.164
 * @property {string} display as the pool's format has it
 * @property {{e164: string, national: string, international: string, rfc3966: string}} formats
 * @property {string} status `leased`, `overflow` or `original`
 * @property {string} reason
 * @property {number | null} expires_in_s
 */

/**
 * Whether to show it in place of its destination. Rows come from the network and from storage, so
 * they may be anything; what passes is a phone number and text, and cannot do more than be read.
 *
 * @param {any} row
 * @returns {boolean}
 */
export function isShowable(row) {
  return (
    !!row &&
    row.status !== "original" &&
    row.number !== row.destination &&
    /^\+\d{6,15}$/.test(row.number) &&
    [row.display, row.formats.national, row.formats.international].every(
      (text) => typeof text === "string",
    )
  );
}
