/** A page that React rendered on a server takes over here, and renders anew on each click. */
import { createElement, useEffect, useState } from "react";
import { hydrateRoot } from "react-dom/client";

window.recoverable = [];

function Page() {
  const [view, setView] = useState(0);
  useEffect(() => {
    window.dni("swap");
    window.hydrated = true;
  }, []);
  return createElement(
    "main",
    null,
    createElement("p", { id: "number" }, "Call 602-555-0100 (", view, ")"),
    createElement("a", { id: "link", href: "tel:6025550100" }, "602-555-0100"),
    createElement("button", { id: "next", onClick: () => setView(view + 1) }, "Next"),
    view > 1 && createElement("p", { id: "later" }, "602.555.0100"),
  );
}

hydrateRoot(document.querySelector("#root"), createElement(Page), {
  onRecoverableError: (error) => window.recoverable.push(String(error)),
});
