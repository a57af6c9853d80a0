/** A number is in view, or the visitor acts: reason enough to take one (option `lazy`). */

export function watchIntent() {
  let isAwake = false;
  const wake = () => {
    if (isAwake) return;
    isAwake = true;
    sight.disconnect();
    window.dni("ask");
  };
  const sight = new IntersectionObserver((entries) => {
    if (entries.some((entry) => entry.isIntersecting)) wake();
  });
  ["pointerdown", "keydown", "scroll"].forEach((type) =>
    addEventListener(type, wake, { once: true, passive: true, capture: true }),
  );
  window.dni("on", "found", (/** @type {Element} */ place) => !isAwake && sight.observe(place));
  window.dni("swap");
}
