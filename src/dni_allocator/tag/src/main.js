/**
 * Entry: one tag at work. Puts visitor, memory, swapping, lease and commands together; never twice
 * for the same key, never for a page nobody looks at yet.
 */

import { claim, listen } from "./commands.js";
import { config, configure } from "./config.js";
import { embedded } from "./embedded.js";
import { emit, on } from "./events.js";
import { given } from "./fields.js";
import { guard } from "./guard.js";
import { ask, keepLease, leave } from "./lease.js";
import { recordName, remember, remembered } from "./memory.js";
import { isLeased, plainRow } from "./row.js";
import { consent, setConsent } from "./storage.js";
import { begin, know, show, swap, wanted } from "./swap.js";
import { RECORD, recognise, rename } from "./visitor.js";

/** @type {Array<(rows: any[]) => void>} */
let waiting = [];
/** @type {any[] | undefined} */
let answered;
/** @type {import("./row.js").Row[]} */
let leased = [];
/** Nothing is asked for while there is something to wait for: the page's end, the visitor. */
let waits = 1;

/** Ask, if there is anything to ask for and it is time. */
function demand() {
  if (!waits && wanted.size) ask();
}

/** What the page hides until its numbers are right may be seen. */
function unveil() {
  document.documentElement.dataset.dni = "";
}

/** @param {any[]} rows */
function reply(rows) {
  unveil();
  const callbacks = waiting;
  waiting = [];
  callbacks.forEach((callback) => guard(callback)(rows));
}

/** @type {import("./lease.js").Owner} */
const owner = {
  onAnswer(rows, until, answer) {
    rename(answer.visitor_id);
    leased = rows.filter(isLeased);
    remember(leased, until);
    answered = answer.numbers;
    show(rows);
    reply(answered);
    emit("assigned", answered);
  },
  onRenewed: (until) => remember(leased, until),
  onFailed(reason, isLost) {
    if (isLost) {
      remember([], 0);
      answered = undefined;
      show([]);
    }
    reply([]);
    emit("failed", reason);
  },
};

const commands = {
  on,
  /** @param {Record<string, unknown>} more */
  set(more) {
    Object.assign(given, more);
    demand();
  },
  /** @param {(rows: any[]) => void} callback @param {string} [destination] */
  number(callback, destination) {
    if (answered && (!destination || wanted.has(destination))) return callback(answered);
    waiting.push(callback);
    if (destination) wanted.add(destination);
    demand();
  },
  /** @param {Node} [node] */
  swap(node) {
    // Also what is read after this, and whatever changes later.
    config.wait = null;
    swap(node);
  },
  /** @param {string} mode */
  consent(mode) {
    if (mode === consent) return;
    leave();
    setConsent(mode, [RECORD, recordName()]);
    recognise();
    demand();
  },
  /** Nothing more to wait for (option `lazy`). */
  ask() {
    waits--;
    demand();
  },
  /** @param {string} number shown for every destination; no lease is taken */
  test(number) {
    waits = Infinity;
    leave();
    show(config.destinations.map((each) => plainRow(each, number)));
    unveil();
  },
};

function start() {
  setConsent(config.consent || (navigator.globalPrivacyControl ? "none" : "full"), []);
  recognise();
  if (config.lazy != null) waits++;
  begin(demand);
  keepLease(owner);
  listen(commands);
  know(remembered());
  const live = remembered().filter((row) => row.until > Date.now());
  if (live[0] && waits < 3) {
    show(live);
    unveil();
    early();
  }
  if (document.readyState === "loading") addEventListener("DOMContentLoaded", ready);
  else ready();
}

let size = 0;

/** With `data-wait` the page says when. */
const look = () => config.wait ?? swap();

/** Before each frame that shows more of a page being read: numbers we know are in it. */
const early = guard(() => {
  if (document.readyState !== "loading") return;
  const { length } = document.all;
  if (length > size) look();
  size = length;
  requestAnimationFrame(early);
});

const ready = guard(() => {
  guard(() => know(embedded()))();
  look();
  // Until the page is read to its end there may come more: one request for all of them.
  waits--;
  if (!wanted.size) unveil();
  demand();
});

guard(() => {
  configure(document.currentScript);
  if (!config.destinations[0] || !claim(config)) return;
  if (/[?&]dni_/.test(location.search) || config.more != null)
    document.head.append(
      Object.assign(document.createElement("script"), {
        src: `${config.origin}/tag/${VERSION}.more.js`,
        integrity: config.pin || "",
        crossOrigin: "",
      }),
    );
  // A page loaded ahead of a visit that may never come takes no number.
  if (document.prerendering)
    document.addEventListener("prerenderingchange", guard(start), { once: true });
  else start();
})();
