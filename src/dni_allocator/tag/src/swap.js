/**
 * The numbers on the page: finds the destinations, shows other numbers in their place, and can
 * always go back.
 *
 * Every place (a text node, an attribute) is settled by one function from what the page's author
 * wrote. If the place still holds what we wrote, the author's text is the one we kept; if it holds
 * something else, the page has written it since and that is the author's text now. So swapping,
 * swapping again, and restoring are the same walk, and nothing has to be undone.
 */

import { createFinder } from "./find.js";
import { guard } from "./guard.js";
import { render } from "./render.js";

/** @typedef {import("./config.js").Config} Config */
/** @typedef {import("./row.js").Row} Row */

/** Never touched, with everything inside. */
const SKIP =
  "script,style,textarea,input,noscript,template,[data-dni-noswap]," +
  '[contenteditable]:not([contenteditable="false" i])';

/** Read aloud or shown in place of the text, so they must not contradict it. */
const ATTRIBUTES = ["href", "title", "alt", "aria-label"];

/**
 * @param {Config} config
 * @param {{onSeen: () => void, onSwapped: (places: number) => void}} notify `onSeen`: a destination
 *   stands on the page that did not before
 */
export function createSwapper(config, notify) {
  const finder = createFinder(config.destinations);
  /** @type {WeakMap<Node, Record<string, {source: string, shown: string}>>} */
  const kept = new WeakMap();
  /** @type {Set<string>} E.164 of the destinations met so far */
  const seen = new Set();
  /** @type {Record<string, Row>} */
  let shown = {};
  let format = config.format;
  let written = 0;
  /** @type {Set<Node>} */
  let dirty = new Set();
  let frame = 0;

  const observer = new MutationObserver(
    guard((records) => {
      collect(records);
      if (dirty.size && !frame) frame = requestAnimationFrame(guard(flush));
    }),
  );

  /** @param {MutationRecord[]} records */
  function collect(records) {
    records.forEach((record) => {
      if (record.type === "childList") record.addedNodes.forEach((node) => dirty.add(node));
      else dirty.add(record.target);
    });
  }

  function flush() {
    frame = 0;
    const roots = dirty;
    dirty = new Set();
    walk(
      Array.from(roots).filter((node) => {
        // A parser adds a parent and then each of its children: walk them once.
        for (let above = node.parentNode; above; above = above.parentNode)
          if (roots.has(above)) return false;
        return node.isConnected;
      }),
    );
  }

  /** @param {Node[]} roots */
  function walk(roots) {
    const before = seen.size;
    written = 0;
    collect(observer.takeRecords());
    roots.forEach((root) => {
      const element = root.nodeType === 1 ? /** @type {Element} */ (root) : root.parentElement;
      if (!element || !element.closest(SKIP)) visit(root);
    });
    // What is on record now is our own writing.
    observer.takeRecords();
    if (dirty.size && !frame) frame = requestAnimationFrame(guard(flush));
    if (written) notify.onSwapped(written);
    if (seen.size > before) notify.onSeen();
  }

  // Guarded node by node: one that misbehaves (a form hides DOM methods behind inputs of the same
  // name) costs itself, not the page.
  const visit = guard((/** @type {Node} */ node) => {
    if (node.nodeType === 3) {
      const text = /** @type {Text} */ (node);
      const value = settle(text, "text", text.data);
      if (value !== text.data) text.data = value;
    } else if (node.nodeType === 1) {
      const element = /** @type {Element} */ (node);
      if (element.matches(SKIP)) return;
      ATTRIBUTES.forEach((name) => {
        const current = element.getAttribute(name);
        if (!current) return;
        const value = settle(element, name, current);
        if (value !== current) element.setAttribute(name, value);
      });
      for (let child = node.firstChild; child; child = child.nextSibling) visit(child);
    }
  });

  /**
   * @param {Node} node
   * @param {string} place `text` or an attribute's name
   * @param {string} current
   * @returns {string} what is to stand there
   */
  function settle(node, place, current) {
    const places = kept.get(node);
    const last = places && places[place];
    const source = last && last.shown === current ? last.source : current;
    const isLink = place === "href";
    const value = (isLink ? finder.link : finder.text)(source, (found) => {
      const e164 = found.destination.e164;
      seen.add(e164);
      const row = shown[e164];
      if (!row) return found.text;
      return isLink ? row.number : render(found, row, format);
    });
    if (value !== source) {
      kept.set(node, Object.assign(places || {}, { [place]: { source, shown: value } }));
    } else if (last) delete places[place];
    if (value !== current) written++;
    return value;
  }

  return {
    seen,

    /**
     * Show these numbers, and the author's own for every destination that is not among them.
     *
     * @param {Row[]} rows
     * @param {string} [answeredFormat]
     */
    show(rows, answeredFormat) {
      shown = {};
      rows.forEach((row) => {
        shown[row.destination] = row;
      });
      format = answeredFormat || format;
      walk([document.documentElement]);
    },

    /** Swap in `node` and everything below it, now. @param {Node} [node] */
    swap(node) {
      walk([node && node.nodeType ? node : document.documentElement]);
    },

    /**
     * Swap from now on whatever the page adds or rewrites, before it is painted. Safe to repeat.
     */
    observe() {
      observer.observe(document.documentElement, {
        childList: true,
        subtree: true,
        characterData: true,
        attributeFilter: ATTRIBUTES,
      });
    },
  };
}
