/**
 * The page's side of the lease: ask for numbers, keep them while the page is seen, let go when it
 * is left.
 *
 * One timer, one request at a time, and only `turn` decides what is due. Every request belongs to
 * one page id: when that changes (the page was left and came back from the back-forward cache),
 * answers to the old one are void, and so is a late beacon of it.
 */

import { guard } from "./guard.js";
import { newId } from "./ids.js";
import { encode } from "./request.js";
import { isShowable } from "./row.js";
import { beacon, post } from "./send.js";

/** @typedef {import("./row.js").Row} Row */

/**
 * So many failures in a row are bad luck and change nothing; after them we ask more and more
 * rarely.
 */
const FAILURES_IGNORED = 2;
const RETRY_FIRST_MS = 5e3;
const RETRY_MOST_MS = 300e3;

/** A visitor flipping between tabs sends no more heartbeats than this. */
const HEARTBEAT_GAP_MS = 1e3;

/**
 * @param {object} options
 * @param {import("./config.js").Config} options.config
 * @param {{id: string}} options.visitor
 * @param {() => string[]} options.destinations the ones to ask for now
 * @param {() => object} options.describe what else an assign request says
 * @param {(rows: Row[], until: number, answer: any) => void} options.onAnswer `rows`: the numbers
 *   to show, maybe none; `until`: when the lease ends unless a heartbeat is heard, ms
 * @param {(until: number) => void} options.onRenewed
 * @param {(reason: string, lost: boolean) => void} options.onFailed `lost`: no lease stands behind
 *   what the page shows
 */
export function createLease(options) {
  const { config, visitor } = options;
  let pageId = newId();
  let needed = false;
  let asked = false;
  let busy = false;
  let heartbeatMs = 0;
  let expiresAt = 0;
  let lastSign = 0;
  let failures = 0;
  /** @type {ReturnType<typeof setTimeout>} */
  let timer;

  const isSeen = () => document.visibilityState === "visible";
  const isLost = () => Date.now() >= expiresAt;
  const identity = () => ({ key: config.key, visitor_id: visitor.id, page_id: pageId });

  /** @param {number} delay ms; a hidden page sets no timer, becoming visible is its next turn */
  function later(delay) {
    clearTimeout(timer);
    if (isSeen()) timer = setTimeout(turn, delay);
  }

  const turn = guard(() => {
    clearTimeout(timer);
    if (busy || !isSeen()) return;
    if (needed || (heartbeatMs && isLost())) assign();
    else if (heartbeatMs) heartbeat();
  });

  /**
   * @param {string} path
   * @param {string} body
   * @param {(answer: any) => void} accept throws if it cannot make sense of the answer
   */
  function ask(path, body, accept) {
    const page = pageId;
    busy = true;
    const settle = (/** @type {() => void} */ outcome) => {
      if (page !== pageId) return;
      busy = false;
      outcome();
    };
    post(config.origin + path, body)
      .then((answer) =>
        settle(() => {
          accept(answer);
          failures = 0;
        }),
      )
      .catch((problem) => settle(guard(() => fail(path, problem || {}))));
  }

  function assign() {
    if (failures && isLost()) options.onFailed("expired", true);
    const destinations = options.destinations();
    needed = false;
    asked = true;
    const request = Object.assign(identity(), { destinations, v: VERSION }, options.describe());
    ask("/assign", encode(/** @type {any} */ (request)), (answer) => {
      const rows = answer.numbers.filter(
        (/** @type {Row} */ row) => isShowable(row) && destinations.includes(row.destination),
      );
      const lives = rows
        .filter((/** @type {Row} */ row) => row.status === "leased")
        .map((/** @type {Row} */ row) => row.expires_in_s);
      signOfLife(lives.length ? Math.min(...lives) : 0);
      heartbeatMs =
        lives.length && answer.heartbeat_s > 0
          ? Math.max(HEARTBEAT_GAP_MS, answer.heartbeat_s * 1000)
          : 0;
      options.onAnswer(rows, expiresAt, answer);
      next();
    });
  }

  function heartbeat() {
    const gap = lastSign + HEARTBEAT_GAP_MS - Date.now();
    if (gap > 0) return later(gap);
    ask("/heartbeat", JSON.stringify(identity()), (answer) => {
      if (answer.gone) {
        // The number may be somebody else's already: only a good answer can keep one on the page.
        expiresAt = 0;
        needed = true;
      } else {
        signOfLife(answer.expires_in_s);
        options.onRenewed(expiresAt);
      }
      next();
    });
  }

  /** @param {number} expiresInS */
  function signOfLife(expiresInS) {
    if (!(expiresInS >= 0)) throw expiresInS;
    lastSign = Date.now();
    expiresAt = lastSign + expiresInS * 1000;
  }

  function next() {
    if (needed) later(0);
    else if (heartbeatMs) later(heartbeatMs);
  }

  /**
   * @param {string} path
   * @param {{status?: number, name?: string}} problem
   */
  function fail(path, problem) {
    const status = problem.status || 0;
    const refused = status >= 400 && status < 500 && status !== 429;
    if (path === "/assign") needed = true;
    else if (refused) {
      // A heartbeat is refused when the service no longer knows the page: a matter for assign.
      needed = true;
      return later(0);
    }
    failures++;
    if (refused) expiresAt = 0;
    options.onFailed(status ? "status " + status : problem.name || "answer", isLost());
    // The service said no to this page: asking again on a timer would get the same.
    if (refused) {
      needed = false;
      heartbeatMs = 0;
      return;
    }
    if (heartbeatMs && failures <= FAILURES_IGNORED && !isLost()) return later(heartbeatMs);
    const patience =
      Math.min(RETRY_MOST_MS, RETRY_FIRST_MS * Math.pow(2, failures - 1)) * (1 + Math.random() / 2);
    later(isLost() ? patience : Math.min(patience, expiresAt - Date.now()));
  }

  /**
   * A page id of its own for every time the page is open; forgets what was leased to the last one.
   */
  function renew() {
    clearTimeout(timer);
    pageId = newId();
    asked = busy = false;
    heartbeatMs = expiresAt = failures = 0;
  }

  document.addEventListener("visibilitychange", turn);

  addEventListener(
    "pagehide",
    guard(() => {
      // Also while the first answer is under way: it would lease a number to nobody.
      if (asked) beacon(config.origin + "/close", JSON.stringify(identity()));
      renew();
    }),
  );

  addEventListener(
    "pageshow",
    guard((/** @type {PageTransitionEvent} */ event) => {
      if (!event.persisted) return;
      renew();
      needed = options.destinations().length > 0;
      turn();
    }),
  );

  return {
    /**
     * Numbers are wanted that we did not ask for, or there is something new to say. Asked when the
     * page is visible.
     */
    ask() {
      needed = true;
      turn();
    },
  };
}
