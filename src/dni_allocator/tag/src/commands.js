/**
 * `window.dni(command, …)`: what the page may ask of the tag, before or after it is loaded.
 *
 * The page's stub queues calls made before; they are run when a tag starts. Several pools on a page
 * are several tags behind one function. All but `number` and `swap`
 * stay in the queue, for a tag that starts later.
 */

import { guard } from "./guard.js";

/**
 * @param {import("./config.js").Config} config
 * @returns {boolean} false when a tag with this key is on the page already (two copies of the
 *   snippet)
 */
export function claim(config) {
  let dni = window.dni;
  if (!dni || !dni.tags) {
    dni = window.dni = Object.assign(
      (/** @type {any[]} */ ...call) => {
        if (!dni.tags.length || !/^(nu|sw)/.test(call[0])) dni.q.push(call);
        dni.tags.forEach((/** @type {(call: any[]) => void} */ tag) => tag(call));
      },
      { q: [...((dni && dni.q) || [])], tags: [], keys: {} },
    );
  }
  return !dni.keys[config.key] && (dni.keys[config.key] = config);
}

/** @param {Record<string, (...parameters: any[]) => void>} commands */
export function listen(commands) {
  const tag = guard(([name, ...parameters]) => commands[name](...parameters));
  window.dni.q.forEach(tag);
  window.dni.tags.push(tag);
}
