/**
 * The page's side of the lease: ask for numbers, keep them while the page is seen, let go when it
 * is left.
 *
 * One timer, one request at a time, and only `turn` decides what is due. Every request belongs to
 * one page id: when that changes (the page was left and came back from the back-forward cache),
 * answers to the old one are void, and so is a late beacon of it.
 */

import { config } from "./config.js";
import { answered } from "./embedded.js";
import { guard } from "./guard.js";
import { previous } from "./memory.js";
import { encode } from "./request.js";
import { isLeased, isShowable } from "./row.js";
import { wanted } from "./swap.js";
import { newId, visitor } from "./visitor.js";

/** @typedef {import("./row.js").Row} Row */

/**
 * @typedef {object} Owner
 * @property {(rows: Row[], until: number, answer: any) => void} onAnswer `rows`: the numbers to
 *   show, maybe none; `until`: when the lease ends unless a heartbeat is heard, ms
 * @property {(until: number) => void} onRenewed
 * @property {(reason: string, isLost: boolean) => void} onFailed `isLost`: no lease stands behind
 *   what the page shows
 */

/** After a failure we ask more and more rarely. */
const RETRY_FIRST_MS = 5e3;
const RETRY_MOST_MS = 300e3;

/** The page must not wait longer than this for a number; a later answer is as good as none. */
const PATIENCE_MS = 5e3;

/** Whatever we are told: timers of more than 24 days fire at once. */
const LONGEST_MS = 3600e3;

/** How long to ask for nothing when told to (429, 503), if `Retry-After` does not say. */
const QUIET_S = 60;

/** @type {Owner} */
let owner;
let pageId = newId();
let isNeeded = false;
let isAsked = false;
let isBusy = false;
let heartbeatMs = 0;
let expiresAt = 0;
let quietUntil = 0;
let failures = 0;
/** @type {ReturnType<typeof setTimeout>} */
let timer;

const isSeen = () => !document.hidden;
const isLost = () => Date.now() >= expiresAt;
const identity = () => ({ key: config.key, visitor_id: visitor.id, page_id: pageId });

/**
 * Have the next turn then, or when the lease ends, if that is sooner.
 *
 * @param {number} delay ms; a hidden page sets no timer, becoming visible is its next turn
 */
function later(delay) {
  clearTimeout(timer);
  if (isSeen())
    timer = setTimeout(turn, Math.min(delay, isLost() ? LONGEST_MS : expiresAt - Date.now()));
}

const turn = guard(() => {
  if (isBusy || !isSeen()) return;
  if (isNeeded || (heartbeatMs && isLost())) {
    const quiet = quietUntil - Date.now();
    if (failures && isLost()) owner.onFailed("expired", true);
    if (quiet > 0) later(quiet);
    else assign();
  } else if (heartbeatMs) heartbeat();
});

/**
 * JSON as a plain string, so that the browser calls it text/plain and asks no permission first (no
 * CORS preflight).
 *
 * @param {string} path
 * @param {string} body
 * @param {(answer: any) => void} accept throws if it cannot make sense of the answer
 */
function request(path, body, accept) {
  const page = pageId;
  const control = new AbortController();
  const settle = (/** @type {() => void} */ outcome) => {
    if (page !== pageId) return;
    isBusy = false;
    outcome();
  };
  isBusy = true;
  setTimeout(() => control.abort(), PATIENCE_MS);
  Promise.resolve(
    answered() ||
      fetch(config.origin + path, {
        method: "POST",
        body,
        keepalive: true,
        credentials: "omit",
        signal: control.signal,
      }).then((response) => {
        const { status, headers } = response;
        const told = headers.get("retry-after");
        if (told || status === 429) quietUntil = Date.now() + (+told || QUIET_S) * 1000;
        // 429 is an answer, too: it may have numbers.
        if (!response.ok && status !== 429) throw response;
        return response.json();
      }),
  )
    .then((answer) =>
      settle(() => {
        accept(answer);
        failures = 0;
        next();
      }),
    )
    .catch((problem) => settle(guard(() => fail(path, problem))));
}

function assign() {
  const destinations = [...wanted];
  isNeeded = false;
  isAsked = true;
  request(
    "/assign",
    encode({ ...identity(), destinations, previous: previous(), v: VERSION }),
    (answer) => accept(answer, destinations),
  );
}

/**
 * @param {any} answer
 * @param {string[]} destinations the ones it is about
 */
function accept(answer, destinations) {
  const rows = answer.numbers.filter(
    (/** @type {Row} */ row) => isShowable(row) && destinations.includes(row.destination),
  );
  const lives = rows.filter(isLeased).map((/** @type {Row} */ row) => row.expires_in_s);
  signOfLife(lives[0] ? Math.min(...lives) : 0);
  heartbeatMs = 0;
  // Another than ours only if a backend asked for the page.
  pageId = answer.page_id || pageId;
  if (lives[0]) pace(answer);
  owner.onAnswer(rows, expiresAt, answer);
}

/** @param {{heartbeat_s?: number}} answer */
function pace({ heartbeat_s }) {
  if (heartbeat_s > 0) heartbeatMs = heartbeat_s * 1000;
}

function heartbeat() {
  request("/heartbeat", JSON.stringify(identity()), (answer) => {
    if (answer.gone) {
      // The number may be somebody else's already: only a good answer can keep one on the page.
      expiresAt = 0;
      isNeeded = true;
    } else {
      signOfLife(answer.expires_in_s);
      pace(answer);
      owner.onRenewed(expiresAt);
    }
  });
}

/** @param {number} expiresInS */
function signOfLife(expiresInS) {
  if (!(expiresInS >= 0)) throw Error();
  expiresAt = Date.now() + expiresInS * 1000;
}

function next() {
  if (isNeeded || (quietUntil > Date.now() && !heartbeatMs)) ask();
  else if (heartbeatMs) later(heartbeatMs);
}

/**
 * @param {string} path
 * @param {{status?: any, name?: string}} problem
 */
function fail(path, problem) {
  const { status, name } = problem;
  const isAssign = path === "/assign";
  const isRefused = /^4/.test(status);
  // A heartbeat is refused when the service no longer knows the page: a matter for assign.
  if (isRefused && !isAssign) return ask();
  failures++;
  // The service said no to this page: asking again on a timer would get the same.
  isNeeded = !isRefused && (isNeeded || isAssign);
  if (isRefused) expiresAt = heartbeatMs = 0;
  owner.onFailed(status ? "status " + status : name, isLost());
  if (isRefused) return;
  later(Math.min(RETRY_MOST_MS, RETRY_FIRST_MS * 2 ** (failures - 1)) * (1 + Math.random() / 2));
}

/**
 * Let go of what this page view leased, and be a new page from now on: a page id is used up.
 */
export function leave() {
  // Also while the first answer is under way: it would lease a number to nobody.
  if (isAsked) navigator.sendBeacon(config.origin + "/close", JSON.stringify(identity()));
  pageId = newId();
  isAsked = isBusy = isNeeded = false;
  heartbeatMs = expiresAt = failures = 0;
}

/**
 * Numbers are wanted that we did not ask for, or there is something new to say. Asked when the page
 * is visible.
 */
export function ask() {
  isNeeded = true;
  turn();
}

/** @param {Owner} given */
export function keepLease(given) {
  owner = given;
  addEventListener("visibilitychange", turn);
  addEventListener("pagehide", guard(leave));
  addEventListener(
    "pageshow",
    guard((/** @type {PageTransitionEvent} */ event) => {
      if (event.persisted && wanted.size) ask();
    }),
  );
}
