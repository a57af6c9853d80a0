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
    /^\+\d{6,15}$/.test(row?.number) &&
    row.number !== row.destination &&
    [row.display, row.formats?.national, row.formats?.international].every(
      (text) => text?.trim,
    )
  );
}

/** @param {Row} row */
export const isLeased = (row) => row.status === "leased";

/**
 * A row for a number of which nobody told us more. Its national form is that of the destination
 * with the last digits replaced, which is right for a number of the same country and length.
 *
 * @param {string[]} destination E.164, then other forms
 * @param {string} number E.164
 * @returns {any}
 */
export function plainRow([destination, form = destination], number) {
  const national = form.replace(/[1-9].*/, (tail) => number.slice(-tail.length));
  return {
    destination,
    number,
    display: number,
    formats: { national, international: number },
  };
}
