/**
 * The numbers on the page: shows others in place of the destinations, and can always go back.
 *
 * Every place (a text that may run over several elements, an attribute) is settled by one function
 * from what the page's author wrote. If a place still holds what we wrote, the author's text is the
 * one we kept; if it holds something else, the page has written it since and that is the author's
 * text now. So swapping, swapping again, and restoring are the same walk, and nothing has to be
 * undone. No node is ever added or removed: frameworks keep theirs.
 */

import { config } from "./config.js";
import { emit } from "./events.js";
import { findLink, findText, learn } from "./find.js";
import { guard } from "./guard.js";
import { isLeased, plainRow } from "./row.js";

/** @typedef {import("./find.js").Found} Found */
/** @typedef {import("./row.js").Row} Row */

/** Never touched, with everything inside. */
let skip =
  'script:not([type$="ld+json"]),style,noscript,template,[data-dni-noswap],' +
  '[contenteditable]:not([contenteditable=false i])';

/** Read aloud, shown or dialled in place of the text, so they must not contradict it. */
const ATTRIBUTE = /^(href|title|alt|placeholder|aria-label|data-.*)$/;

/** A number may begin before one of these and end after it; `#`: texts and comments. */
const INLINE =
  /^(#[tc].*|[abiqsu]|em|strong|span|small|mark|label|bd[io]|su[bp]|wbr)$/;

/** Before the value of a `telephone` in JSON-LD. */
const TELEPHONE = /"telephone"\s*:(tel:|[^:{}])*$/;

/** @type {Record<string, WeakMap<Node, [source: string, shown: string]>>} by kind of place */
const keptAt = {};

/** E.164 of the destinations that were met or asked for. @type {Set<string>} */
export const wanted = new Set();

/** @type {Record<string, Row>} by destination */
let shown = {};
let written = 0;
let isHeld = true;

/** Text nodes that are read as one. @type {Text[]} */
let run = [];

/** @type {Set<Node>} */
let dirty = new Set();
let frame = 0;

/** @type {() => void} */
let onSeen;

const observer = new MutationObserver(guard(collect));

/** @param {MutationRecord[]} records */
function collect(records) {
  records.forEach(({ type, target, attributeName, addedNodes }) => {
    if (type === "childList") addedNodes.forEach((node) => dirty.add(node));
    else if (type !== "attributes" || ATTRIBUTE.test(attributeName)) dirty.add(target);
  });
  if (dirty.size && !frame) frame = requestAnimationFrame(guard(flush));
}

function flush() {
  frame = 0;
  const roots = dirty;
  dirty = new Set();
  walk(
    [...roots].filter((node) => {
      // A parser adds a parent and then each of its children: walk them once.
      for (let above = node.parentNode; above; above = above.parentNode)
        if (roots.has(above)) return false;
      return node.isConnected;
    }),
  );
}

/** @param {Node[]} roots */
function walk(roots) {
  const before = wanted.size;
  written = 0;
  collect(observer.takeRecords());
  roots.forEach(guard(look));
  // What is on record now is our own writing.
  observer.takeRecords();
  if (written) emit("swapped", written);
  if (wanted.size > before) onSeen();
}

/** @param {any} node */
const isInline = (node) => INLINE.test(node.localName || node.nodeName);

/** @param {Node} root */
function look(root) {
  let top = root;
  while (isInline(top) && top.parentNode) top = top.parentNode;
  let isInside = false;
  for (let at = /** @type {any} */ (top); at; at = at.parentNode || at.host) {
    if (!at.matches) continue;
    if (at.matches(skip)) return;
    isInside = isInside || at.matches(config.only);
  }
  visit(top, isInside, root);
  settleRun();
}

/**
 * Guarded node by node: one that misbehaves (a form hides DOM methods behind inputs of the same
 * name) costs itself, not the page.
 *
 * `within`: blocks outside of it did not change, and are left out.
 */
const visit = guard(
  (/** @type {any} */ node, /** @type {boolean} */ isInside, /** @type {Node} */ within) => {
    if (node.nodeType === 3) return isInside && run.push(node);
    const isBlock = !isInline(node);
    if (isBlock) settleRun();
    if (node.nodeType === 1) {
      if (node.matches(skip)) return;
      isInside = isInside || node.matches(config.only);
      if (isInside) {
        for (const name of node.getAttributeNames())
          if (ATTRIBUTE.test(name)) settle([node], name, [node.getAttribute(name)], node);
      }
      const shadow = node.shadowRoot;
      if (shadow) {
        watch(shadow);
        visit(shadow, isInside, shadow);
      } else if (/-/.test(node.localName))
        // It may get its shadow root when the page's script comes to define it.
        customElements.whenDefined(node.localName).then(() => swap(node));
      if (node.localName === "textarea") return;
    }
    for (let child = node.firstChild; child; child = child.nextSibling)
      if (within.contains(child) || isInline(child)) visit(child, isInside, within);
    if (isBlock) settleRun();
  },
);

function settleRun() {
  const nodes = run;
  run = [];
  if (nodes[0])
    settle(
      nodes,
      "data",
      nodes.map((node) => node.data),
      nodes[0].parentElement,
    );
}

/**
 * @param {any[]} nodes
 * @param {string} place an attribute's name; `data`: the text itself
 * @param {string[]} current what stands in each node
 * @param {Element} element
 */
function settle(nodes, place, current, element) {
  const kept = (keptAt[place] ||= new WeakMap());
  const sources = nodes.map((node, at) => {
    const last = kept.get(node);
    return last?.[1] === current[at] ? last[0] : current[at];
  });
  const source = sources.join("");
  const isLink = place === "href";
  const found = (isLink ? findLink : findText)(source).filter(
    ({ start }) => element.localName !== "script" || TELEPHONE.test(source.slice(0, start)),
  );
  if (!found[0] && source === current.join("")) return;
  /** What stands at each position of `source` afterwards. */
  const letters = source.split("");
  found.forEach((one) => {
    const { destination, isLent } = one;
    emit("found", element);
    wanted.add(destination);
    const row =
      shown[destination] ||
      (isLent && plainRow(config.destinations.find((each) => each[0] === destination), destination));
    if (row && !isHeld) write(letters, one, row, isLink);
  });
  let from = 0;
  nodes.forEach((node, at) => {
    const value = letters.slice(from, (from += sources[at].length)).join("");
    if (value === current[at]) return;
    kept.set(node, [sources[at], value]);
    written++;
    if (place === "data") node.data = value;
    else node.setAttribute(place, value);
  });
}

/**
 * The page's own punctuation wherever the digit counts allow it: `602.555.0100` becomes
 * `602.555.0123`.
 *
 * @param {string[]} letters
 * @param {Found} found
 * @param {Row} row
 * @param {boolean} isLink
 */
function write(letters, { start, end, digits, isAbroad }, row, isLink) {
  const mirrored = (isAbroad ? row.number : row.formats.national).replace(/\D/g, "");
  const isMirror = config.format === "mirror";
  if (isMirror && mirrored.length === digits.length)
    digits.forEach((position, at) => (letters[position] = mirrored[at]));
  else {
    letters.fill("", start, end);
    letters[start] = isLink
      ? row.number
      : isMirror
        ? row.formats[isAbroad ? "international" : "national"]
        : row.display;
  }
}

/**
 * Show these numbers, and the author's own for every destination that is not among them.
 *
 * @param {Row[]} rows
 */
export function show(rows) {
  shown = {};
  rows.forEach((row) => (shown[row.destination] = row));
  know(rows);
  swap();
}

/**
 * Numbers of the pool that were this visitor's: where one stands on the page (a copy of a swapped
 * place, a cached page, a page rendered with a lease) it stands for its destination.
 *
 * @param {Row[]} rows
 */
export function know(rows) {
  rows
    .filter(isLeased)
    .forEach((row) => learn(row.destination, [row.number, row.formats.national]));
}

/** Swap in `node` and everything below it, now. @param {any} [node] */
export function swap(node) {
  walk([node?.nodeType ? node : document.documentElement]);
}

/** From now on places are written, not only found. */
export function release() {
  isHeld = false;
}

/** @param {Node} root look after what the page adds or rewrites in it, before it is painted */
function watch(root) {
  observer.observe(root, { childList: true, subtree: true, characterData: true, attributes: true });
}

/**
 * Start watching the page.
 *
 * @param {() => void} seenMore a destination stands on the page that did not before
 */
export function begin(seenMore) {
  onSeen = seenMore;
  if (config.skip) skip += "," + config.skip;
  config.destinations.forEach((each) => learn(each[0], each));
  watch(document.documentElement);
}
