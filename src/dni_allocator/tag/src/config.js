/**
 * The settings of this tag. One script element is one tag is one evaluation of this bundle, so they
 * are module state, as is everything that follows from them.
 */

/**
 * @typedef {object} Config
 * @property {string} key publishable key
 * @property {string} origin of the service, without a slash at the end
 * @property {string[][]} destinations each: E.164, then digit strings by which a page may write it
 * @property {string} format `mirror`, or any other to show what the service calls `display`
 * @property {string[][]} [fields] the pool's dictionary: name, source, key, touch
 * @property {string} only selector: swap inside of these only
 * @property {string} [skip] selector: nor inside of these
 * @property {string} [lazy] there: do not ask before `dni("ask")`
 * @property {string | number} [more] there: load the second file, `more.js`
 * @property {string} [wait] there: write nothing before `dni("swap")`
 * @property {string} [consent] `none`, `session` or `full`
 */

/** @type {Config} */
export let config;

/**
 * What the service says of the pool: the statement in front of this bundle (`/tag.js?key=…`), or
 * the attribute `data-config` (pinned). What the site says of its page: further `data-…` attributes
 * or parameters of the script's address; tag managers drop the attributes.
 *
 * @param {HTMLScriptElement} script the element that runs; known only while the bundle is first
 *   evaluated
 */
export function configure(script) {
  const data = script?.dataset || {};
  config = Object.assign(
    { only: "*" },
    data.config ? JSON.parse(data.config) : (window.dniConfig || []).pop(),
    Object.fromEntries(new URL(script?.src || "about:blank").searchParams),
    data,
  );
}
