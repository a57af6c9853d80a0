/**
 * Finding numbers in text and in links, however they are punctuated.
 *
 * Two steps, so that the cost does not grow with the number of destinations: runs of digits and
 * separators by a regular expression, then the digits of a run in a table.
 */

/**
 * @typedef {object} Found
 * @property {string} destination E.164
 * @property {boolean} isAbroad whether it was written with the country code
 * @property {boolean} isLent whether it is not the destination itself, but a number of the pool
 *   that stands for it
 * @property {number} start
 * @property {number} end
 * @property {number[]} digits their positions
 */

/**
 * What may stand between digits: spaces of every kind, brackets, dots, slashes, hyphens, and all of
 * Unicode's general punctuation: dashes, and invisible marks that come along when a number is
 * copied.
 */
const BETWEEN = "[\\s()./\\-\u2212\u00b7\u200b-\u206f]";

const RUN = RegExp(`\\d(${BETWEEN}|\\d){3,}\\d`, "g");

/** Of E.164, and of a trunk prefix that is not part of it. */
const MOST_DIGITS = 18;

/** A match after this is the tail of a longer number, or has another country's code. */
const LONGER_BEFORE = /(\d[-.\u2010-\u2015]?|\+\d{1,3}[\s().-]{0,2})$/;
const LONGER_AFTER = /^[-.\u2010-\u2015]?\d/;

/** Scheme, number, and the rest: parameters (RFC 3966, RFC 5724), pauses, extensions. */
const LINK = /^((?:tel|sms):\/*)([^;,?&pwx]*)/i;

/** @type {Record<string, {destination: string, isAbroad: boolean, isLent: boolean}>} by digits */
const known = {};

/**
 * Where one of them may end: a quick look at the text of a whole page, of which it cannot be said
 * where its blocks end. @type {RegExp}
 */
export let ends;

/**
 * Recognise these from now on.
 *
 * @param {string} destination E.164
 * @param {string[]} written a number in the ways it may be written; the first is E.164
 */
export function learn(destination, written) {
  const forms = written.map((form) => form.replace(/\D/g, ""));
  forms.forEach((form) => {
    if (known[form]) return;
    known[form] = {
      destination,
      // Longer is only "+44 (0)20 …".
      isAbroad: form === forms[0] || form.length > forms[0].length,
      isLent: written[0] !== destination,
    };
  });
  ends = RegExp(
    Object.keys(known)
      .map((form) => [...form.slice(-5)].join(BETWEEN + "*"))
      .join("|"),
  );
}

/**
 * @param {string} source
 * @returns {Found[]} in the order of the text, none over another
 */
export function findText(source) {
  /** @type {Found[]} */
  const all = [];
  for (const run of source.matchAll(RUN)) {
    const digits = run[0].replace(/\D/g, "");
    /** @type {number[]} */
    let places;
    for (let first = 0; first < digits.length; first++) {
      // The longest first; a shorter string than asked for has been looked up before.
      for (let length = MOST_DIGITS; length > 4; length--) {
        const form = known[digits.substr(first, length)];
        if (!form || first + length > digits.length) continue;
        places ||= [...run[0].matchAll(/\d/g)].map((digit) => run.index + digit.index);
        let start = places[first];
        const end = places[first + length - 1] + 1;
        // In "(602 555 0100)" the bracket is the sentence's, in "(602) 555-0100" the number's.
        if (source[start - 1] === "(" && source.slice(start, end).includes(")")) start--;
        if (source[start - 1] === "+") start--;
        if (LONGER_BEFORE.test(source.slice(0, start).slice(-6))) continue;
        if (LONGER_AFTER.test(source.slice(end))) continue;
        all.push({ ...form, start, end, digits: places.slice(first, first + length) });
        first += length - 1;
        break;
      }
    }
  }
  return all;
}

/**
 * @param {string} source an `href`
 * @returns {Found[]} at most one
 */
export function findLink(source) {
  const parts = LINK.exec(source);
  if (!parts) return [];
  // Escapes (of brackets, spaces, plus) go as a whole: decoding throws on a malformed one.
  const form = known[parts[2].replace(/%[\da-f]{2}|\D/gi, "")];
  return form ? [{ ...form, start: parts[1].length, end: parts[0].length, digits: [] }] : [];
}
