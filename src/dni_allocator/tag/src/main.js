/**
 * Entry: reads the settings, starts one tag for each, never twice for the same key, never for a
 * page nobody looks at yet.
 */

import { claim } from "./commands.js";
import { readConfigs } from "./config.js";
import { guard } from "./guard.js";
import { start } from "./start.js";

/** @param {import("./config.js").Config} config */
function begin(config) {
  if (!config.destinations.length || !claim(config.key)) return;
  // A page loaded ahead of a visit that may never come takes no number.
  if (/** @type {any} */ (document).prerendering) {
    document.addEventListener(
      "prerenderingchange",
      guard(() => start(config)),
      { once: true },
    );
  } else start(config);
}

guard(() => readConfigs(document.currentScript).forEach(guard(begin)))();
