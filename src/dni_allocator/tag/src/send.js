/**
 * The wire: JSON as a plain string, so that the browser calls it text/plain and asks no permission
 * first (no CORS preflight).
 */

/** The page must not wait longer than this for a number; a later answer is as good as none. */
const PATIENCE_MS = 5000;

/**
 * @param {string} url
 * @param {string} body
 * @returns {Promise<any>} the answer's JSON, and in `isQuiet` whether we are asked to be quiet for a
 *   while (status 429). Rejects on a network error, no answer in time, broken JSON, and on another
 *   error status with `{status}`
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
    const isQuiet = response.status === 429;
    if (!response.ok && !isQuiet) throw response;
    return { ...(await response.json()), isQuiet };
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
  navigator.sendBeacon(url, body);
}
