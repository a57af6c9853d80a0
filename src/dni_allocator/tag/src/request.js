/** The body of an assign request, kept within the 16 KB the service takes. */

import { emit } from "./events.js";
import { fields } from "./fields.js";
import { consent } from "./storage.js";

const LONGEST_URL = 2048;
const LARGEST_BODY = 16384;

/**
 * @param {Record<string, any>} request who asks for what; url, referrer and fields are added here
 * @returns {string} JSON of at most 16 KB; where it would be longer, fields are left out from the
 *   last
 */
export function encode(request) {
  let body;
  let data = {};
  request.consent = consent;
  if (consent !== "none") {
    request.url = location.href.slice(0, LONGEST_URL);
    request.referrer = document.referrer.slice(0, LONGEST_URL);
    data = fields();
  }
  request.fields = data;
  emit("asked", request);
  while (new Blob([(body = JSON.stringify(request))]).size > LARGEST_BODY)
    delete data[Object.keys(data).pop()];
  return body;
}
