/**
 * Who is looking: the visitor's id and touches, in one record of the browser's storage shared by
 * all pools of the site.
 */

import { read, write } from "./storage.js";
import { touches } from "./touch.js";

export const RECORD = "dni";

/**
 * Days without a page view after which the browser is a new visitor (what CallRail and Invoca use).
 */
const FORGET_MS = 30 * 24 * 3600e3;

/** @type {Record<string, any>} `id`, `at`, the touches `first` and `last`, and `own` fields */
export let visitor;

/** Whether the browser knew the visitor before this page view. */
export let isKnown = false;

/**
 * @param {unknown} value
 * @returns {boolean} whether `value` is an id as we make them (storage and answers may hold
 *   anything)
 */
const isId = (value) => /^[\w-]{22}$/.test(value);

/** @returns {string} an unguessable id: 22 characters with more than 128 random bits */
export const newId = () =>
  btoa(String.fromCharCode(...crypto.getRandomValues(new Uint8Array(24))))
    .replace(/[+/]/g, "-")
    .slice(0, 22);

/** Find out who looks at the page, and write down that they did. */
export function recognise() {
  const record = read(RECORD);
  isKnown = isId(record.id) && Date.now() - record.at < FORGET_MS;
  visitor = isKnown ? record : { id: newId() };
  visitor.at = Date.now();
  touches(visitor);
  write(RECORD, visitor);
}

/**
 * Take the id the service answered with, should it be another than the one we asked with.
 *
 * @param {unknown} id
 */
export function rename(id) {
  if (isId(id)) {
    visitor.id = id;
    write(RECORD, visitor);
  }
}
