/**
 * The numbers this browser was last given by a pool: to ask for the same again, and to show them
 * before the answer is there.
 */

import { isShowable } from "./row.js";
import { read, write } from "./storage.js";

/** @typedef {import("./row.js").Row} Row */

/** @param {string} key the pool's publishable key */
export function createMemory(key) {
  const name = "dni:" + key;

  /** @returns {Array<Row & {until: number}>} */
  function all() {
    const record = read(name);
    return Object.keys(record)
      .map((destination) => record[destination])
      .filter(
        (row) => row && typeof row.number === "string" && typeof row.destination === "string",
      );
  }

  return {
    /** @returns {Row[]} rows whose lease, as far as we know, still lives */
    live() {
      return all().filter((row) => row.until > Date.now() && isShowable(row));
    },

    /** @returns {Record<string, string>} destination -> last number, ended or not */
    previous() {
      /** @type {Record<string, string>} */
      const numbers = {};
      all().forEach((row) => {
        numbers[row.destination] = row.number;
      });
      return numbers;
    },

    /**
     * @param {Row[]} rows leased until then
     * @param {number} until ms
     * @param {string[]} answered destinations that were asked for: those without a row have no
     *   lease, only a last number
     */
    keep(rows, until, answered) {
      const record = read(name);
      answered.forEach((destination) => {
        if (record[destination]) record[destination].until = 0;
      });
      rows.forEach((row) => {
        record[row.destination] = Object.assign({}, row, { until });
      });
      write(name, record);
    },
  };
}
