/** Form fields that ask for it (`<input data-dni-field="gclid">`) get the visitor's data. */

/** @returns {boolean} whether there are any now */
export function fillForms() {
  window.dni("on", "asked", (/** @type {any} */ request) => {
    /** @type {Record<string, string>} */
    const data = { visitor_id: request.visitor_id, ...request.fields };
    document.querySelectorAll("input[data-dni-field]").forEach((/** @type {any} */ input) => {
      input.value = data[input.dataset.dniField] || "";
    });
  });
  window.dni("on", "assigned", (/** @type {any[]} */ rows) => {
    document
      .querySelectorAll('input[data-dni-field="number"]')
      .forEach((/** @type {any} */ input) => (input.value = rows[0].number));
  });
  return !!document.querySelector("input[data-dni-field]");
}
