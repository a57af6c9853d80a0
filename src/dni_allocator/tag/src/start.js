/** One tag at work: puts visitor, memory, swapper, lease and commands of one pool together. */

import { listen } from "./commands.js";
import { guard } from "./guard.js";
import { createLease } from "./lease.js";
import { createMemory } from "./memory.js";
import { clean } from "./request.js";
import { createSwapper } from "./swap.js";
import { recognise, rename } from "./visitor.js";

/** @param {import("./config.js").Config} config */
export function start(config) {
  const visitor = recognise();
  const memory = createMemory(config.key);
  /** @type {Record<string, Array<(detail: any) => void>>} */
  const listeners = {};
  /** @type {Set<string>} destinations asked for by command, wherever they stand */
  const ordered = new Set();
  /** @type {Record<string, unknown>} */
  const given = {};
  /** @type {Array<(rows: any[]) => void>} */
  let waiting = [];
  /** @type {any[] | undefined} */
  let answered;
  /** @type {import("./row.js").Row[]} */
  let leased = [];
  let isReady = false;

  /** @param {string} event @param {any} detail */
  const emit = (event, detail) =>
    (listeners[event] || []).forEach((callback) => guard(callback)(detail));

  const wanted = () => Array.from(new Set([...swapper.seen, ...ordered]));

  const swapper = createSwapper(config, {
    // Until the page is read to its end there may come more: one request for all of them.
    onSeen: () => isReady && lease.ask(),
    onSwapped: (places) => emit("swapped", places),
  });

  const lease = createLease({
    config,
    visitor,
    destinations: wanted,
    describe: () => ({
      url: location.href,
      referrer: document.referrer,
      fields: clean(Object.assign({}, visitor.fields, given)),
      previous: memory.previous(),
    }),
    onAnswer(rows, until, answer) {
      rename(visitor, answer.visitor_id);
      leased = rows.filter((row) => row.status === "leased");
      memory.keep(leased, until, wanted());
      answered = answer.numbers;
      swapper.show(rows, answer.format);
      reply(answer.numbers);
      emit("assigned", answer.numbers);
    },
    onRenewed: (until) => memory.keep(leased, until, []),
    onFailed(reason, lost) {
      if (lost) {
        memory.keep([], 0, wanted());
        answered = undefined;
        swapper.show([]);
        reply([]);
      }
      emit("failed", reason);
    },
  });

  /** @param {any[]} rows */
  function reply(rows) {
    const callbacks = waiting;
    waiting = [];
    callbacks.forEach((callback) => guard(callback)(rows));
  }

  /** @type {Record<string, (...parameters: any[]) => void>} */
  const commands = {
    set(fields) {
      Object.assign(given, fields);
      if (answered) lease.ask();
    },
    number(callback, destination) {
      if (answered && (!destination || wanted().includes(destination))) return callback(answered);
      waiting.push(callback);
      if (!destination) return;
      ordered.add(destination);
      if (isReady) lease.ask();
    },
    swap: (node) => swapper.swap(node),
    on(event, callback) {
      (listeners[event] = listeners[event] || []).push(callback);
    },
  };

  const ready = guard(() => {
    swapper.observe();
    swapper.swap();
    isReady = true;
    if (wanted().length) lease.ask();
  });

  listen(([name, ...parameters]) => commands[name](...parameters));

  const known = memory.live();
  if (known.length) {
    swapper.observe();
    swapper.show(known);
  }
  if (document.readyState === "loading") document.addEventListener("DOMContentLoaded", ready);
  else ready();
}
