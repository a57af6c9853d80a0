/**
 * The body of an assign request, kept within what the service takes: 64 fields, 512 characters
 * each, 16 KB in all.
 */

const MOST_FIELDS = 64;
const LONGEST_FIELD = 512;
const LONGEST_URL = 2048;
const LARGEST_BODY = 16384;

/**
 * @param {Record<string, unknown>} given
 * @returns {Record<string, string>} the ones the service would take
 */
export function clean(given) {
  /** @type {Record<string, string>} */
  const fields = {};
  Object.keys(given)
    .filter(
      (name) => /^[\w.-]{1,64}$/.test(name) && /^(string|number|boolean)$/.test(typeof given[name]),
    )
    .slice(0, MOST_FIELDS)
    .forEach((name) => {
      fields[name] = cut(String(given[name]), LONGEST_FIELD);
    });
  return fields;
}

/**
 * @param {string} text
 * @param {number} length
 * @returns {string} never ends with half of a surrogate pair, which is no valid Unicode
 */
function cut(text, length) {
  return text.slice(0, length).replace(/[\ud800-\udbff]$/, "");
}

/**
 * @param {{url: string, referrer: string, fields: Record<string, string>}} request and whatever
 *   else it has
 * @returns {string} JSON of at most 16 KB; where it would be longer, the longest fields are halved
 *   until it is not
 */
export function encode(request) {
  request.url = cut(request.url, LONGEST_URL);
  request.referrer = cut(request.referrer, LONGEST_URL);
  const fields = request.fields;
  let body = JSON.stringify(request);
  while (new Blob([body]).size > LARGEST_BODY) {
    const longest = Object.keys(fields).sort((a, b) => fields[b].length - fields[a].length)[0];
    if (!longest) break;
    if (fields[longest].length > 32)
      fields[longest] = cut(fields[longest], fields[longest].length / 2);
    else delete fields[longest];
    body = JSON.stringify(request);
  }
  return body;
}
