/** How a number of the pool is written in place of a destination. */

/** @typedef {import("./find.js").Found} Found */
/** @typedef {import("./row.js").Row} Row */

/**
 * The page's own punctuation wherever the digit counts allow it: `602.555.0100` becomes
 * `602.555.0123`.
 *
 * @param {Found} found
 * @param {Row} row
 * @param {string} format `mirror`, or another: then the service's `display`
 * @returns {string}
 */
export function render(found, row, format) {
  if (format !== "mirror") return row.display;
  const formats = row.formats;
  const withCode = found.destination.forms[0];
  // Longer than the form with country code is only "+44 (0)20 …", which we do not imitate.
  const international = found.form === withCode || found.form.length > withCode.length;
  const digits = (found.form === withCode ? row.number : formats.national).replace(/\D/g, "");
  if (digits.length === found.form.length) {
    let at = 0;
    return found.text.replace(/\d/g, () => digits[at++]);
  }
  return international ? formats.international : formats.national;
}
