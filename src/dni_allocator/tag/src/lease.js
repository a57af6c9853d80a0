/**
 * The page's side of the lease: ask for numbers, keep them while the page is seen, let go when it
 * is left.
 *
 * One timer, one request at a time, and only `turn` decides what is due. Every request belongs to
 * one page id: when that changes (the page was left and came back from the back-forward cache),
 * answers to the old one are void, and so is a late beacon of it.
 */

import { config } from "./config.js";
import { guard } from "./guard.js";
import { previous } from "./memory.js";
import { encode } from "./request.js";
import { isLeased, isShowable } from "./row.js";
import { beacon, post } from "./send.js";
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

/** A visitor flipping between tabs sends no more heartbeats than this. */
const HEARTBEAT_GAP_MS = 1e3;

/** How long to ask for nothing when told to; browsers keep `Retry-After` from other sites. */
const QUIET_MS = 60e3;

/** @type {Owner} */
let owner;
let pageId = newId();
let isNeeded = false;
let isAsked = false;
let isBusy = false;
let heartbeatMs = 0;
let expiresAt = 0;
let lastSign = 0;
let quietUntil = 0;
let failures = 0;
/** @type {ReturnType<typeof setTimeout>} */
let timer;

const isSeen = () => !document.hidden;
const isLost = () => Date.now() >= expiresAt;
const identity = () => ({ key: config.key, visitor_id: visitor.id, page_id: pageId });

/** @param {number} delay ms; a hidden page sets no timer, becoming visible is its next turn */
function later(delay) {
  clearTimeout(timer);
  if (isSeen()) timer = setTimeout(turn, delay);
}

const turn = guard(() => {
  if (isBusy || !isSeen()) return;
  if (isNeeded || (heartbeatMs && isLost())) {
    const quiet = quietUntil - Date.now();
    if (quiet > 0) later(quiet);
    else assign();
  } else if (heartbeatMs) heartbeat();
});

/**
 * @param {string} path
 * @param {string} body
 * @param {(answer: any) => void} accept throws if it cannot make sense of the answer
 */
function request(path, body, accept) {
  const page = pageId;
  isBusy = true;
  const settle = (/** @type {() => void} */ outcome) => {
    if (page !== pageId) return;
    isBusy = false;
    outcome();
  };
  post(config.origin + path, body)
    .then((answer) =>
      settle(() => {
        if (answer.isQuiet) quietUntil = Date.now() + QUIET_MS;
        accept(answer);
        failures = 0;
        next();
      }),
    )
    .catch((problem) => settle(guard(() => fail(path, problem))));
}

function assign() {
  if (failures && isLost()) owner.onFailed("expired", true);
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
  if (lives[0]) pace(answer);
  owner.onAnswer(rows, expiresAt, answer);
}

/** @param {{heartbeat_s?: number}} answer */
function pace({ heartbeat_s }) {
  if (heartbeat_s > 0) heartbeatMs = heartbeat_s * 1000;
}

function heartbeat() {
  const gap = lastSign + HEARTBEAT_GAP_MS - Date.now();
  if (gap > 0) return later(gap);
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
  lastSign = Date.now();
  expiresAt = lastSign + expiresInS * 1000;
}

function next() {
  if (isNeeded) later(0);
  else if (quietUntil > Date.now() && !heartbeatMs) ask();
  else if (heartbeatMs) later(heartbeatMs);
}

/**
 * @param {string} path
 * @param {{status?: number, name?: string}} problem
 */
function fail(path, problem) {
  const { status, name } = problem;
  const isAssign = path === "/assign";
  const isRefused = status >= 400 && status < 500;
  // A heartbeat is refused when the service no longer knows the page: a matter for assign.
  if (isRefused && !isAssign) return ask();
  failures++;
  // The service said no to this page: asking again on a timer would get the same.
  isNeeded = !isRefused && (isNeeded || isAssign);
  if (isRefused) expiresAt = heartbeatMs = 0;
  owner.onFailed(status ? "status " + status : name, isLost());
  if (isRefused) return;
  const patience =
    Math.min(RETRY_MOST_MS, RETRY_FIRST_MS * 2 ** (failures - 1)) * (1 + Math.random() / 2);
  later(isLost() ? patience : Math.min(patience, expiresAt - Date.now()));
}

/**
 * Let go of what this page view leased, and be a new page from now on: a page id is used up.
 */
export function leave() {
  // Also while the first answer is under way: it would lease a number to nobody.
  if (isAsked) beacon(config.origin + "/close", JSON.stringify(identity()));
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

/**
 * Keep a lease that somebody else made for this page view.
 *
 * @param {any} answer as `/assign` gives it
 */
export function adopt(answer) {
  pageId = answer.page_id;
  isAsked = true;
  accept(
    answer,
    answer.numbers.map((/** @type {Row} */ row) => row.destination),
  );
  next();
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
