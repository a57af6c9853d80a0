/**
 * Where the settings come from. Two ways, one shape:
 *
 * - dynamic (`/tag.js?key=…`): the service put `dniConfig.push({…})` in front of this bundle;
 * - pinned (`/tag/<version>.js` with `integrity`): `data-…` attributes of the script element.
 */

/**
 * @typedef {object} Destination
 * @property {string} e164
 * @property {string[]} forms digit strings by which a page may write it; the first is the one with
 *   country code
 */

/**
 * @typedef {object} Config
 * @property {string} key publishable key
 * @property {string} origin of the service, without a slash at the end
 * @property {Destination[]} destinations
 * @property {string} format `mirror`, or any other to show what the service calls `display`
 */

/** Fewer digits than this are no phone number one may replace wherever they stand. */
const FEWEST_DIGITS = 5;

/**
 * @param {string} e164
 * @param {string[]} others
 * @returns {Destination}
 */
function destination(e164, others) {
  const forms = [e164].concat(others).map((form) => form.replace(/\D/g, ""));
  return {
    e164,
    forms: forms.filter((form, at) => form.length >= FEWEST_DIGITS && forms.indexOf(form) === at),
  };
}

/**
 * @param {HTMLOrSVGScriptElement | null} script the element that runs; known only while the bundle
 *   is first evaluated
 * @returns {Config[]}
 */
export function readConfigs(script) {
  const data = script && script.dataset;
  if (data && data.key) {
    const groups = (data.destinations || "").split(",").map((group) => group.trim().split("|"));
    return [
      {
        key: data.key,
        origin: new URL(/** @type {HTMLScriptElement} */ (script).src).origin,
        destinations: groups
          .filter((group) => group[0])
          .map((group) => destination(group[0], group.slice(1))),
        format: data.format || "mirror",
      },
    ];
  }
  return (window.dniConfig || []).map((/** @type {any} */ given) => ({
    key: given.key,
    origin: given.origin,
    destinations: given.destinations.map((/** @type {any} */ each) =>
      destination(each.e164, each.digits || []),
    ),
    format: given.format || "mirror",
  }));
}
