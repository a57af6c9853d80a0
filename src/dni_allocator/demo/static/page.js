/**
 * What happens behind the page, shown: the tag's answer, a played call, deliveries, the pool.
 *
 * None of this is needed for the numbers on the page; that is the tag alone. This script speaks to
 * the tag as any page may (`window.dni`) and to `/demo/…`.
 */
"use strict";

(() => {
  const POLL_MS = 1000;
  const BASES = {
    live: "is on the site right now",
    closing: "has just left; the number is still locked",
    ended: "had it last, the lease has ended",
    caller_memory: "called before",
    overflow: "saw the shared overflow number, as others did",
    none: "nobody is known to have had it",
  };
  const REASONS = {
    new: "new",
    returned: "same as last time",
    closed: "last page closed",
    idle: "fell silent",
    no_holder: "called, and shown to nobody",
    many_callers: "called by many",
  };

  const STATES = { free: "free", held: "held after a call", quarantined: "in quarantine" };
  const SOURCED = new Set(["number.assigned", "call.started"]);

  window.dni =
    window.dni ||
    function () {
      (window.dni.q = window.dni.q || []).push(arguments);
    };

  const at = (id) => document.getElementById(id);
  const shownNumber = () => at("site-call").getAttribute("href").replace("tel:", "");

  /** An element with a class and text or children; never HTML from outside. */
  function make(name, className, ...content) {
    const element = document.createElement(name);
    if (className) element.className = className;
    element.append(...content);
    return element;
  }

  async function fetchJson(path, options) {
    const answer = await fetch(path, options);
    const body = await answer.json();
    if (!answer.ok) throw new Error(body.detail || "status " + answer.status);
    return body;
  }

  // --- the number -------------------------------------------------------------------------------

  const ANSWERS = {
    leased: "Yours alone, for as long as you are here.",
    overflow: "All numbers are taken: you see the shared overflow number.",
    original: "No number is free: the page keeps its original one.",
  };

  function say(text, warm) {
    at("status").textContent = text;
    at("status").classList.toggle("warm", warm);
  }

  function onAssigned(rows) {
    const row = rows && rows[0];
    if (row) say(ANSWERS[row.status] || row.status, row.status !== "leased");
    refresh();
  }

  window.dni("on", "assigned", onAssigned);
  window.dni("number", onAssigned);
  window.dni("on", "failed", () =>
    say("The service does not answer. The visitor does not notice: the page has a number.", true),
  );
  addEventListener("load", () => {
    if (!window.dni.tags) say("The tag did not load: the page keeps its original number.", true);
  });

  at("somebody-else").addEventListener("click", () => {
    // The tag keeps its records under these names; without them this browser is a new visitor.
    Object.keys(localStorage)
      .filter((name) => name === "dni" || name.startsWith("dni:"))
      .forEach((name) => localStorage.removeItem(name));
    location.assign("/demo");
  });

  // --- the call ---------------------------------------------------------------------------------

  at("call").addEventListener("click", async () => {
    const number = shownNumber();
    at("call").disabled = true;
    try {
      const found = await fetchJson("/demo/call", {
        method: "POST",
        headers: { "content-type": "application/json" },
        body: JSON.stringify({ number }),
      });
      at("answer").replaceChildren(verdict(found));
    } catch (problem) {
      const text = "Called " + number + ". " + problem.message;
      at("answer").replaceChildren(make("div", "verdict warm", make("p", "", text)));
    }
    at("call").disabled = false;
    refresh();
  });

  function verdict(call) {
    const found = call.attribution;
    const sure = Math.round(found.confidence * 100) + "\u00a0%\u00a0sure";
    const who = found.visitor_id ? "Visitor " + found.visitor_id.slice(0, 8) + "…" : "The caller";
    const fields = found.fields;
    const list = make("dl");
    const add = (term, value) =>
      value && list.append(make("dt", "", term), make("dd", "", String(value)));
    add("Dialed", call.number);
    add("Came from", [fields.utm_source, fields.utm_medium].filter(Boolean).join(" / "));
    add("Campaign", fields.utm_campaign);
    add("Keyword", fields.utm_term);
    add("Click id", fields.gclid || fields.fbclid);
    add("Page", found.url && new URL(found.url).origin + new URL(found.url).pathname);
    add("Route the call to", call.route_to);
    const raw = make("pre", "", JSON.stringify(call, null, 2));
    raw.tabIndex = 0;
    return make(
      "div",
      "verdict",
      make("p", "", make("b", "", who), " " + BASES[found.basis] + ": ", make("b", "", sure), "."),
      list,
      make("details", "", make("summary", "", "The whole answer of POST /calls"), raw),
    );
  }

  // --- deliveries and pool ----------------------------------------------------------------------

  const seen = new Set();
  let isFirst = true;

  function showReceived(events) {
    if (!events.length) return;
    const items = events.map((event) => {
      const about = [
        event.number,
        REASONS[event.reason] || event.reason,
        SOURCED.has(event.type) && event.source && "from " + event.source,
        event.deliveries > 1 && "came " + event.deliveries + " times",
      ];
      const proof = event.signature + " ✓ ";
      const took = event.latency_ms === null ? "" : latency(event.latency_ms);
      const item = make(
        "li",
        isFirst || seen.has(event.id) ? "" : "fresh",
        make("span", "type", event.type),
        make("span", "about", about.filter(Boolean).join(" · ")),
        make("span", "proof", proof + took),
      );
      item.dataset.event = event.id;
      return item;
    });
    const isSame = events.length === at("received").children.length && seen.has(events[0].id);
    events.forEach((event) => seen.add(event.id));
    isFirst = false;
    // Left alone when nothing came, so that a reader's place and selection stay.
    if (!isSame || at("received").querySelector(".empty")) at("received").replaceChildren(...items);
  }

  const latency = (ms) => (ms < 1000 ? ms + " ms" : (ms / 1000).toFixed(1) + " s");

  function showPool(numbers) {
    const mine = shownNumber();
    const free = numbers.filter((each) => each.state === "free").length;
    at("pool-count").textContent = free + " of " + numbers.length + " free";
    at("pool").replaceChildren(
      ...numbers.map((each) => {
        const isMine = each.number === mine && each.state !== "free";
        const left = Math.ceil(each.ends_in_s) + " s left";
        const text = STATES[each.state] || (isMine ? "yours · " : "locked · ") + left;
        const item = make(
          "li",
          each.state === "free" ? "" : isMine ? "yours" : "leased",
          make("b", "", each.national),
          make("span", "", text),
        );
        item.dataset.number = each.number;
        item.dataset.state = each.state;
        return item;
      }),
    );
  }

  async function refresh() {
    const shown = await Promise.allSettled([
      fetchJson("/demo/pool").then((body) => showPool(body.numbers)),
      fetchJson("/demo/received").then((body) => showReceived(body.events)),
    ]);
    const isAway = shown.some((each) => each.status === "rejected");
    at("received-live").textContent = isAway ? "no answer" : "live";
    at("received-live").classList.toggle("away", isAway);
  }

  let busy = false;
  setInterval(async () => {
    if (busy || document.visibilityState !== "visible") return;
    busy = true;
    await refresh();
    busy = false;
  }, POLL_MS);
  refresh();
})();
