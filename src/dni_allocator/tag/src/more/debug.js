/** Debug mode (`?dni_debug`): the console hears what the tag does, in the order it does it. */

/** @param {any[]} configs */
export function logEvents(configs) {
  console.info("[dni] settings", configs);
  ["asked", "assigned", "swapped", "failed", "found"].forEach((event) =>
    window.dni("on", event, (/** @type {unknown} */ detail) => console.info("[dni]", event, detail)),
  );
  window.dni("number", (/** @type {unknown} */ rows) => console.info("[dni] numbers", rows));
}
