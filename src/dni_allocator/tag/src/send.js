/**
 * The wire: JSON as a plain string, so that the browser calls it text/plain and asks no permission
 * first (no CORS preflight).
 */

/** The page must not wait longer than this for a number; a later answer is as good as none. */
const PATIENCE_MS = 5000;

/**
 * @param {string} url
 * @param {string} body
 * @returns {Promise<any>} the answer's JSON; rejects on a network error, no answer in time, broken
 *   JSON, and on an error status with `{status}`
 */
export async function post(url, body) {
  const control = new AbortController();
  const timer = setTimeout(() => control.abort(), PATIENCE_MS);
  try {
    const response = await fetch(url, {
      method: "POST",
      body,
      keepalive: true,
      credentials: "omit",
      signal: control.signal,
    });
    if (!response.ok) throw response;
    return await response.json();
  } finally {
    clearTimeout(timer);
  }
}

/**
 * Send while the page goes away. Nobody hears the answer.
 *
 * @param {string} url
 * @param {string} body
 */
export function beacon(url, body) {
  // Refused when the browser's quota for such requests is in flight already.
  if (!navigator.sendBeacon(url, body)) post(url, body).catch(() => {});
}
