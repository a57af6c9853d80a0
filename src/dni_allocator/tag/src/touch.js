/**
 * What brought the visitor here: campaign parameters, click ids, external referrer, landing page.
 *
 * The rule. A page view is a touch when it is the first we know of, when its referrer is another
 * site, or when its URL carries campaign parameters other than those of the last touch. The first
 * touch is kept, the last one is replaced as a whole (never mixed from two visits). Direct visits
 * and the site's own links are no touch, so they leave the last touch as it is.
 */

const CAMPAIGN = /^(utm_[a-z_]{1,32}|gclid|gbraid|wbraid|fbclid|msclkid|ttclid|li_fat_id)$/;

/** A value longer than this is cut; the service takes no longer one. */
const LONGEST = 512;

/**
 * @typedef {Record<string, string>} Touch parameters by name, and `landing_page`, and `referrer`
 *   when it is another site
 */

/** @returns {Touch} */
function campaign() {
  /** @type {Touch} */
  const found = {};
  new URLSearchParams(location.search).forEach((value, name) => {
    name = name.toLowerCase();
    if (value && CAMPAIGN.test(name)) found[name] = value.slice(0, LONGEST);
  });
  return found;
}

/**
 * @returns {string} the referrer's URL, empty when there is none or it is this site (with or
 *   without a subdomain)
 */
function externalReferrer() {
  const bare = (/** @type {string} */ host) => "." + host.replace(/^www\./, "");
  try {
    const there = bare(new URL(document.referrer).hostname);
    const here = bare(location.hostname);
    return there.endsWith(here) || here.endsWith(there) ? "" : document.referrer.slice(0, LONGEST);
  } catch (noReferrer) {
    return "";
  }
}

/**
 * @param {{first?: Touch, last?: Touch}} known the touches of earlier page views
 * @returns {{first: Touch, last: Touch}}
 */
export function touches(known) {
  const parameters = campaign();
  const referrer = externalReferrer();
  const last = known.last;
  const isNew = Object.keys(parameters).some((name) => !last || last[name] !== parameters[name]);
  if (known.first && last && !isNew && !referrer) return { first: known.first, last };
  const touch = Object.assign({ landing_page: location.href.slice(0, LONGEST) }, parameters);
  if (referrer) touch.referrer = referrer;
  return { first: known.first || touch, last: touch };
}

/**
 * @param {{first: Touch, last: Touch}} both
 * @returns {Touch} one flat record: the last touch by plain names, the first touch by `first_…`
 */
export function flat(both) {
  const fields = Object.assign({}, both.last);
  Object.keys(both.first).forEach((name) => {
    fields["first_" + name] = both.first[name];
  });
  return fields;
}
