/** A page that Vue rendered on a server takes over here, and renders anew on each click. */
import { createSSRApp, h, onMounted, ref } from "vue";

window.recoverable = [];
console.warn = console.error = (...words) => window.recoverable.push(words.join(" "));

createSSRApp({
  setup() {
    const view = ref(0);
    onMounted(() => {
      window.dni("swap");
      window.hydrated = true;
    });
    return () =>
      h("main", [
        h("p", { id: "number" }, `Call 602-555-0100 (${view.value})`),
        h("a", { id: "link", href: "tel:6025550100" }, "602-555-0100"),
        h("button", { id: "next", onClick: () => view.value++ }, "Next"),
        view.value > 1 ? h("p", { id: "later" }, "602.555.0100") : null,
      ]);
  },
}).mount("#root");
