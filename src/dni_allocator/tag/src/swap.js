/**
 * The numbers on the page: shows others in place of the destinations, and can always go back.
 *
 * Every place (a text that may run over several elements, an attribute) is settled by one function
 * from what the page's author wrote. If a place still holds what we wrote, the author's text is the
 * one we kept; if it holds something else, the page has written it since and that is the author's
 * text now. So swapping, swapping again, and restoring are the same walk, and nothing has to be
 * undone. No node is ever added or removed: frameworks keep theirs.
 *
 * Looking is left to the browser where it can be: the text of an element, as one string, says
 * whether a number is in it, and only the way to it is walked. So a large page costs little.
 */

import { config } from "./config.js";
import { emit } from "./events.js";
import { ends, findLink, findText, learn } from "./find.js";
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

/** Who has one of them; no selector knows `data-…`. */
const LABELLED = '[href^=tel i],[href^=sms i],[title],[alt],[placeholder],[aria-label]';

/**
 * A number may begin before one of these and end after it; `#`: texts and comments. Not `sup`,
 * `sub` and `label`: the mark of a footnote behind a number, and what stands before one in a form,
 * would count as digits of it.
 */
const INLINE = /^(#[tc].*|[abiqsu]|em|strong|span|small|mark|bd[io]|wbr)$/i;

/** Before the value of a `telephone` in JSON-LD. */
const TELEPHONE = /"telephone"\s*:(tel:|[^:{}])*$/;

/** @type {WeakMap<Node, [source: string, shown: string]>} by text or attribute */
const kept = new WeakMap();

/** Where numbers were found: attributes, first texts. @type {Set<any>} */
const places = new Set();

/** E.164 of the destinations that were met or asked for. @type {Set<string>} */
export const wanted = new Set();

/** @type {Record<string, Row>} by destination */
let shown = {};
let written = 0;

/** Text nodes that are read as one. @type {Text[]} */
let run = [];

/** Nodes that the page changed; whether with all that is in them. @type {Map<Node, boolean>} */
let dirty = new Map();
let frame = 0;

/** @type {() => void} */
let onSeen;

/** How long elements are looked at one by one without a pause, ms. */
const SLICE_MS = 3;

/** Those that are left. @type {TreeWalker[]} */
const unseen = [];

const observer = new MutationObserver(guard(collect));

/** @param {MutationRecord[]} records */
function collect(records) {
  records.forEach(({ target, attributeName, addedNodes }) => {
    addedNodes.forEach((node) => dirty.set(node, true));
    if (target.nodeType === 3) dirty.set(target, true);
    if (ATTRIBUTE.test(attributeName) && !dirty.has(target)) dirty.set(target, false);
  });
  if (dirty.size && !frame) frame = requestAnimationFrame(guard(flush));
}

function flush() {
  const nodes = dirty;
  frame = 0;
  dirty = new Map();
  walk(() =>
    nodes.forEach((isWhole, node) => node.isConnected && (isWhole ? scan : label)(node)),
  );
}

/** @param {() => void} [work] */
function walk(work) {
  const before = wanted.size;
  const end = Date.now() + SLICE_MS;
  written = 0;
  collect(observer.takeRecords());
  work?.();
  for (let walker; (walker = unseen[0]) && Date.now() < end; ) {
    inspect(walker.currentNode);
    if (!walker.nextNode()) unseen.shift();
  }
  if (unseen[0]) setTimeout(walk);
  // What is on record now is our own writing.
  observer.takeRecords();
  if (written) emit("swapped", written);
  if (wanted.size > before) onSeen();
}

/** @param {any} node */
const isInline = (node) => INLINE.test(node.nodeName);

/** Look through a node and everything below it. */
const scan = guard((/** @type {any} */ root) => {
  look(root);
  if (!root.querySelectorAll) return;
  root.querySelectorAll(LABELLED).forEach(label);
  label(root);
  // While a page is being read there will be another look; what follows is dear.
  if (document.readyState === "loading") return;
  watch(document.documentElement);
  root.querySelectorAll(":not(:defined)").forEach((/** @type {Element} */ element) =>
    // It may get its shadow root when the page's script comes to define it.
    customElements.whenDefined(element.localName).then(() => swap(element), String),
  );
  unseen.push(document.createTreeWalker(root, 1));
});

/** @param {any} element see to what no selector finds */
function inspect(element) {
  try {
    const { shadowRoot } = element;
    if (shadowRoot) {
      watch(shadowRoot);
      scan(shadowRoot);
    }
    if (/data-/.test(element.getAttributeNames())) label(element);
  } catch (misbehaves) {
    // A form hides DOM methods behind inputs of the same name.
  }
}

/** Settle the texts of a block: of all that is in it, or that a node is read together with. */
const look = guard((/** @type {any} */ node) => {
  while (isInline(node) && node.parentNode) node = node.parentNode;
  visit(node);
  settleRun();
});

/** @param {any} node */
function visit(node) {
  for (const child of node.childNodes)
    if (child.nodeType === 3)
      // What a visitor has written is theirs; around it there are attributes of the page.
      node.localName !== "textarea" && isOpen(node) && run.push(/** @type {Text} */ (child));
    else if (isInline(child)) visit(child);
    else {
      settleRun();
      // The browser says at once whether a way leads to a number; few do.
      if (ends.test(child.textContent)) {
        visit(child);
        settleRun();
      }
    }
}

/**
 * @param {any} node an element, or the root of a shadow
 * @returns {boolean} whether the site lets us write in it
 */
function isOpen(node) {
  let isInside;
  for (node = node.host || node; node?.closest; node = node.getRootNode().host) {
    if (node.closest(skip)) return false;
    isInside ||= node.closest(config.only);
  }
  return isInside;
}

function settleRun() {
  const nodes = run;
  run = [];
  if (nodes[0]) settle(nodes);
}

/** Settle what an element's attributes say. */
const label = guard((/** @type {any} */ element) => {
  for (const name of element.getAttributeNames())
    if (
      ATTRIBUTE.test(name) &&
      // Links are escaped.
      (name === "href" || ends.test(element.getAttribute(name)))
    )
      settle([element.getAttributeNode(name)]);
});

/** @param {any[]} nodes texts that are read as one, or an attribute */
function settle(nodes) {
  const [first] = nodes;
  const element = first.ownerElement || first.parentNode;
  const current = nodes.map((node) => node.nodeValue);
  const sources = nodes.map((node, at) => {
    const last = kept.get(node);
    return last?.[1] === current[at] ? last[0] : current[at];
  });
  const source = sources.join("");
  const isLink = first.name === "href";
  const found = (isLink ? findLink : findText)(source).filter(
    ({ start }) => element.localName !== "script" || TELEPHONE.test(source.slice(0, start)),
  );
  if ((!found[0] && source === current.join("")) || !isOpen(element)) return;
  places.add(first);
  /** What stands at each position of `source` afterwards. */
  const letters = source.split("");
  found.forEach((one) => {
    const { destination, isLent } = one;
    emit("found", element);
    wanted.add(destination);
    const row =
      shown[destination] ||
      (isLent && plainRow(config.destinations.find((each) => each[0] === destination), destination));
    if (row) write(letters, one, row, isLink);
  });
  let from = 0;
  nodes.forEach((node, at) => {
    const value = letters.slice(from, (from += sources[at].length)).join("");
    if (value === current[at]) return;
    kept.set(node, [sources[at], value]);
    written++;
    node.nodeValue = value;
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
  walk(() =>
    places.forEach((place) => {
      const { ownerElement = place } = place;
      if (!ownerElement?.isConnected) places.delete(place);
      else if (ownerElement === place) look(place);
      else settle([place]);
    }),
  );
}

/**
 * Numbers of the pool that were this visitor's: where one stands on the page (a copy of a swapped
 * place, a cached page, a page rendered with a lease) it stands for its destination. A shared
 * number does not: the author may have written it.
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
  walk(() => scan(node?.nodeType ? node : document.documentElement));
}

/** @param {Node} root look after what the page adds or rewrites in it, before it is painted */
function watch(root) {
  observer.observe(root, { childList: true, subtree: true, characterData: true, attributes: true });
}

/**
 * Learn what to look for.
 *
 * @param {() => void} seenMore a destination stands on the page that did not before
 */
export function begin(seenMore) {
  onSeen = seenMore;
  if (config.skip) skip += "," + config.skip;
  config.destinations.forEach((each) => learn(each[0], each));
}
