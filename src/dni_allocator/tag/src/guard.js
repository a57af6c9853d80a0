/**
 * The promise to the page: nothing this tag throws ever reaches it.
 *
 * Every function the browser or the page calls (listeners, timers, observers, commands) is wrapped
 * here.
 */

/**
 * @template {(...args: any[]) => any} Work
 * @param {Work} work
 * @returns {Work} the same function; a throw becomes `undefined`
 */
export function guard(work) {
  return /** @type {Work} */ (
    function (/** @type {any[]} */ ...args) {
      try {
        return work(...args);
      } catch (problem) {
        // It stays here.
      }
    }
  );
}
