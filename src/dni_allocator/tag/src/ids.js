/** Unguessable ids: 128 random bits, base64url without padding, 22 characters. */

/** @returns {string} */
export function newId() {
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  return btoa(String.fromCharCode(...bytes))
    .replace(/\+/g, "-")
    .replace(/\//g, "_")
    .replace(/=/g, "");
}

/**
 * @param {unknown} value
 * @returns {boolean} whether `value` is an id as `newId` makes them (storage and answers may hold
 *   anything)
 */
export function isId(value) {
  return typeof value === "string" && /^[\w-]{22}$/.test(value);
}
