/**
 * Finding a destination in text and in `tel:` links, however it is punctuated.
 *
 * One regular expression for all destinations: their digits with at most a few separators between
 * two of them. No lookbehind (Safari before 16.4 cannot parse it): what stands around a match is
 * checked by hand.
 */

/** @typedef {import("./config.js").Destination} Destination */

/**
 * @typedef {object} Found
 * @property {Destination} destination
 * @property {string} form the digits as written
 * @property {string} text the characters as written
 */

/**
 * Spaces of every kind (an indented line break is many), brackets, dots, slashes, hyphens and
 * dashes, and invisible marks that come along when a number is copied.
 */
const SEPARATOR =
  "[\\s().\\/\\-\\u2010-\\u2015\\u2212\\u00b7\\u2022" +
  "\\u200b-\\u200f\\u202a-\\u202e\\u2060\\u2066-\\u2069]{0,40}";

/** A match after this is the tail of a longer number, or has another country's code. */
const LONGER_BEFORE = /(\d[-.\u2010-\u2015]?|\+\d{1,3}[\s().-]{0,2})$/;
const LONGER_AFTER = /^[-.\u2010-\u2015]?\d/;

/** Scheme, number, and the rest: RFC 3966 parameters, pauses, extensions. */
const LINK = /^(tel:)([^;,?pwx]*)([^]*)$/i;

/** @param {Destination[]} destinations at least one */
export function createFinder(destinations) {
  /** @type {Record<string, Destination>} */
  const byForm = {};
  destinations.forEach((destination) => {
    destination.forms.forEach((form) => {
      byForm[form] = byForm[form] || destination;
    });
  });
  const longestFirst = Object.keys(byForm).sort((a, b) => b.length - a.length);
  const numbers = longestFirst.map((form) => form.split("").join(SEPARATOR)).join("|");
  const pattern = new RegExp("(\\+?\\(?)(" + numbers + ")", "g");

  return {
    /**
     * @param {string} source
     * @param {(found: Found) => string} replace
     * @returns {string}
     */
    text(source, replace) {
      return source.replace(pattern, (match, lead, number, at) => {
        if (LONGER_BEFORE.test(source.slice(Math.max(0, at - 6), at))) return match;
        if (LONGER_AFTER.test(source.slice(at + match.length, at + match.length + 2))) return match;
        const form = number.replace(/\D/g, "");
        // In "(602 555 0100)" the bracket is the sentence's, in "(602) 555-0100" the number's.
        const outside = lead.includes("(") && !number.includes(")") ? lead : "";
        return (
          outside + replace({ destination: byForm[form], form, text: outside ? number : match })
        );
      });
    },

    /**
     * @param {string} source an `href`
     * @param {(found: Found) => string} replace gives E.164
     * @returns {string}
     */
    link(source, replace) {
      const parts = LINK.exec(source);
      if (!parts) return source;
      // Escapes (of brackets, spaces, plus) go as a whole: decoding throws on a malformed one.
      const form = parts[2].replace(/%[\da-f]{2}/gi, "").replace(/\D/g, "");
      const destination = byForm[form];
      if (!destination) return source;
      const text = replace({ destination, form, text: parts[2] });
      return text === parts[2] ? source : parts[1] + text + parts[3];
    },
  };
}
