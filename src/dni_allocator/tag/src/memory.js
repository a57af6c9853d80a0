/**
 * The numbers this browser was last given by this pool: to ask for the same again, to show them
 * before the answer is there, and to know them when they stand in a copy of the page.
 */

import { config } from "./config.js";
import { isShowable } from "./row.js";
import { read, write } from "./storage.js";
import { wanted } from "./swap.js";

/** @typedef {import("./row.js").Row & {until: number}} Remembered */

export const recordName = () => "dni:" + config.key;

/** @returns {Remembered[]} every one we know, its lease ended or not */
export function remembered() {
  return Object.values(read(recordName())).filter(isShowable);
}

/** @returns {Record<string, string>} destination -> last number */
export const previous = () =>
  Object.fromEntries(remembered().map((row) => [row.destination, row.number]));

/**
 * @param {Row[]} rows leased until then
 * @param {number} until ms
 */
export function remember(rows, until) {
  const record = read(recordName());
  // Those that were asked for and have no row have no lease, only a last number.
  wanted.forEach((destination) => {
    (record[destination] || {}).until = 0;
  });
  rows.forEach((row) => {
    record[row.destination] = { ...row, until };
  });
  write(recordName(), record);
}

/** @typedef {import("./row.js").Row} Row */
