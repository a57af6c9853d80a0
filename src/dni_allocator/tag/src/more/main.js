/**
 * The second file: what few pages need, written on top of `window.dni(…)` alone. It is loaded by
 * the tag where the option `more` is set (the service sets it for a pool with a dictionary) and
 * where the page's address has `dni_debug` or `dni_test`; one copy serves all tags of the page.
 */

import { collect } from "./dictionary.js";
import { fillForms } from "./forms.js";
import { watchIntent } from "./intent.js";
import { logEvents } from "./debug.js";

const { dni } = window;
if (!dni.more) {
  dni.more = true;
  /** @type {any[]} */
  const configs = Object.values(dni.keys);
  if (/[?&]dni_debug/.test(location.search)) logEvents(configs);
  // A fixed number that is nobody's: an address must not be able to choose what a page shows.
  if (/[?&]dni_test/.test(location.search)) dni("test", configs[0].destinations[0][0].slice(0, -7) + "9999999");
  const values = collect(configs);
  const hasForms = fillForms();
  // Last, for it may ask at once, and everybody has to hear that.
  if (hasForms || Object.keys(values).length) dni("set", values);
  if (configs.some((config) => config.lazy != null)) watchIntent();
}
