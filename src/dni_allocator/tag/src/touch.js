/**
 * What brought the visitor here: campaign parameters, click ids, external referrer, landing page.
 *
 * The rule. A page view is a touch when it is the first we know of, when its referrer is another
 * site, or when its URL carries campaign parameters other than those of the last touch. The first
 * touch is kept, the last one is replaced as a whole (never mixed from two visits). Direct visits
 * and the site's own links are no touch, so they leave the last touch as it is.
 */

const CAMPAIGN = /^(utm_[a-z_]+|gclid|gbraid|wbraid|fbclid|msclkid|ttclid|li_fat_id)$/;

/**
 * @typedef {Record<string, string>} Touch parameters by name, and `landing_page`, and `referrer`
 *   when it is another site
 */

/** @param {{first?: Touch, last?: Touch}} visitor gets this page view's touch, if it is one */
export function touches(visitor) {
  const { last } = visitor;
  /** @type {Touch} */
  const touch = { landing_page: location.href };
  let isNew = !last;
  new URLSearchParams(location.search).forEach((value, name) => {
    name = name.toLowerCase();
    if (!value || !CAMPAIGN.test(name)) return;
    touch[name] = value;
    isNew = isNew || last[name] !== value;
  });
  const referrer = document.referrer;
  const bare = (/** @type {string} */ host) => "." + host.replace(/^www\./, "");
  if (referrer) {
    const there = bare(new URL(referrer).hostname);
    const here = bare(location.hostname);
    // With or without a subdomain it is this site.
    if (!there.endsWith(here) && !here.endsWith(there)) {
      isNew = true;
      touch.referrer = referrer;
    }
  }
  if (isNew) {
    visitor.first ||= touch;
    visitor.last = touch;
  }
}
