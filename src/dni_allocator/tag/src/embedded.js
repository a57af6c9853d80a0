/**
 * A lease that a backend made while it rendered the page: `<script type="application/json"
 * data-dni-lease>` with the answer of `/assign`, `key` and `issued_at`.
 */

import { config } from "./config.js";
import { guard } from "./guard.js";
import { isShowable } from "./row.js";

/** Older, it may come from a cache that gives it to many visitors. */
const FRESH_MS = 60e3;

/**
 * @returns {any} the embedded answer for this key, with `isFresh`; undefined where there is none
 */
export const embedded = guard(() => {
  for (const element of document.querySelectorAll("script[data-dni-lease]")) {
    const lease = JSON.parse(element.textContent);
    if (lease.key !== config.key) continue;
    lease.numbers = lease.numbers.filter(isShowable);
    lease.isFresh = Math.abs(Date.now() - Date.parse(lease.issued_at)) < FRESH_MS;
    return lease;
  }
});
