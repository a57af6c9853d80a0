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
  let { dni } = window;
  if (!dni?.tags) {
    const { q = [] } = dni || {};
    /** @type {Array<(call: any[]) => void>} */
    const tags = [];
    dni = window.dni = Object.assign(
      (/** @type {any[]} */ ...call) => {
        if (!tags[0] || !/^(nu|sw)/.test(call[0])) q.push(call);
        tags.forEach((tag) => tag(call));
      },
      { q, tags, keys: {} },
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
