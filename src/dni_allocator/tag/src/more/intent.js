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
  // A text right below a shadow root is seen where its host is.
  window.dni("on", "found", (/** @type {any} */ place) => !isAwake && sight.observe(place.host || place));
  window.dni("swap");
}
