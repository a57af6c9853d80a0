/**
 * Who is looking: the visitor's id and touches, in one record of the browser's storage shared by
 * all pools of the site.
 */

import { isId, newId } from "./ids.js";
import { read, write } from "./storage.js";
import { flat, touches } from "./touch.js";

const RECORD = "dni";

/**
 * Days without a page view after which the browser is a new visitor (what CallRail and Invoca use).
 */
const FORGET_MS = 30 * 24 * 3600e3;

/** @returns {{id: string, fields: Record<string, string>}} the visitor of this page view */
export function recognise() {
  const record = read(RECORD);
  const known = isId(record.id) && Date.now() - record.at < FORGET_MS ? record : { id: newId() };
  const both = touches(known);
  write(RECORD, { id: known.id, at: Date.now(), first: both.first, last: both.last });
  return { id: known.id, fields: flat(both) };
}

/**
 * Take the id the service answered with, should it be another than the one we asked with.
 *
 * @param {{id: string}} visitor
 * @param {unknown} id
 */
export function rename(visitor, id) {
  if (id === visitor.id || !isId(id)) return;
  visitor.id = /** @type {string} */ (id);
  write(RECORD, Object.assign(read(RECORD), { id }));
}
