/**
 * `window.dni(command, …)`: what the page may ask of the tag, before or after it is loaded.
 *
 * The page's stub queues calls made before; they are run when a tag starts. Several pools on a page
 * are several tags behind one function. `set` and `on` stay in the queue, for a tag that starts
 * later.
 */

import { guard } from "./guard.js";

/** @typedef {(command: any[]) => void} Tag takes one call of `dni` */

/**
 * @param {string} key
 * @returns {boolean} false when a tag with this key is on the page already (two copies of the
 *   snippet)
 */
export function claim(key) {
  let dni = window.dni;
  if (!dni || !dni.tags) {
    const stub = dni;
    dni = window.dni = Object.assign(
      function () {
        const call = Array.from(arguments);
        if (!dni.tags.length || call[0] === "set" || call[0] === "on") dni.q.push(call);
        dni.tags.forEach((/** @type {Tag} */ tag) => tag(call));
      },
      { q: Array.from((stub && stub.q) || []), tags: [], keys: {} },
    );
  }
  if (dni.keys[key]) return false;
  return (dni.keys[key] = true);
}

/** @param {Tag} tag */
export function listen(tag) {
  const guarded = guard(tag);
  window.dni.q.forEach((/** @type {any[]} */ call) => guarded(Array.from(call)));
  window.dni.tags.push(guarded);
}
