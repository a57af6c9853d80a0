/** What the page hears of the tag. */

import { guard } from "./guard.js";

/** @type {Record<string, Array<(detail: any) => void>>} */
const listeners = {};

/**
 * @param {string} event
 * @param {(detail: any) => void} callback
 */
export function on(event, callback) {
  (listeners[event] ||= []).push(guard(callback));
}

/**
 * @param {string} event
 * @param {any} detail
 */
export function emit(event, detail) {
  (listeners[event] || []).forEach((callback) => callback(detail));
}
