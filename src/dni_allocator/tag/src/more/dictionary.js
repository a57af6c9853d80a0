/**
 * The pool's marketing-data dictionary: fields from parameters, cookies, variables and the data
 * layer, by first or last touch. First touches are remembered as far as the consent goes that the
 * tag asks with.
 */

const RECORD = "dni:fields";

/** @param {any} object @param {string} path names with dots between */
const follow = (object, path) => path.split(".").reduce((at, name) => at?.[name], object);

/** @type {Record<string, (key: string) => unknown>} */
const sources = {
  parameter: (key) => new URLSearchParams(location.search).get(key),
  cookie: (key) => ("; " + document.cookie).split("; " + key + "=")[1]?.split(";")[0],
  variable: (key) => follow(window, key),
  data_layer: (key) =>
    (window.dataLayer || []).reduce(
      (/** @type {unknown} */ last, /** @type {unknown} */ entry) => follow(entry, key) ?? last,
      undefined,
    ),
};

/** @returns {Record<string, unknown>} what earlier page views have seen */
function stored() {
  for (const storage of ["localStorage", "sessionStorage"]) {
    try {
      const record = JSON.parse(window[storage].getItem(RECORD));
      if (record && typeof record === "object") return record;
    } catch (blockedOrBroken) {
      // As if there were none.
    }
  }
  return {};
}

/**
 * @param {any[]} configs
 * @returns {Record<string, unknown>} what there is now
 */
export function collect(configs) {
  const entries = configs.flatMap((config) => config.fields || []);
  if (!entries.length) return {};
  const values = stored();
  const look = () => {
    entries.forEach(([name, source, key, touch]) => {
      let now;
      try {
        now = sources[source](key);
      } catch (notOurs) {
        // A getter of the page's that throws.
      }
      if (now != null && !(touch === "first" && name in values)) values[name] = now;
    });
    return values;
  };
  window.dni("on", "asked", (/** @type {any} */ request) => {
    // What is there now is there: a value that came after the last look goes along.
    if (request.consent !== "none") Object.assign(request.fields, texts(look()));
    const stores = { full: "localStorage", session: "sessionStorage" };
    for (const [consent, storage] of Object.entries(stores)) {
      try {
        if (request.consent === consent)
          window[storage].setItem(RECORD, JSON.stringify(texts(values)));
        else if (request.consent !== "full") window[storage].removeItem(RECORD);
      } catch (blockedOrFull) {
        // The page view works without.
      }
    }
  });
  return look();
}

/**
 * @param {Record<string, unknown>} values
 * @returns {Record<string, string>} those that are text or like it, within the service's limits
 */
function texts(values) {
  return Object.fromEntries(
    Object.entries(values)
      .filter(([, value]) => /^(string|number|boolean)$/.test(typeof value))
      .map(([name, value]) => [name, String(value).slice(0, 512)]),
  );
}
