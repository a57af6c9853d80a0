/**
 * A lease that a backend made while it rendered the page: `<script type="application/json"
 * data-dni-lease>` with the answer of `/assign`, `key` and `issued_at`.
 */

import { config } from "./config.js";
import { isShowable } from "./row.js";
import { isKnown, visitor } from "./visitor.js";

/** Older, it may come from a cache that gives it to many visitors. */
const FRESH_MS = 60e3;

/** @type {any} */
let lease;

/** @returns {any[]} the numbers that a backend wrote into the page; throws if there are none */
export function embedded() {
  lease = [...document.querySelectorAll("[data-dni-lease]")]
    .map((element) => JSON.parse(element.textContent))
    .find(({ key }) => key === config.key);
  return lease.numbers.filter(isShowable);
}

/** @returns {any} the answer to this page view's first question, if it is in the page: once */
export function answered() {
  const answer = lease;
  lease = undefined;
  return (
    answer &&
    Math.abs(Date.now() - Date.parse(answer.issued_at)) < FRESH_MS &&
    (!isKnown || answer.visitor_id === visitor.id) &&
    answer
  );
}
