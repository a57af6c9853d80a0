/** A React page that has the snippet of the integration code pasted in front; strict mode. */
import { StrictMode, createElement, useState } from "react";
import { hydrateRoot } from "react-dom/client";

window.recoverable = [];

function Page() {
  const [view, setView] = useState(0);
  return createElement(
    "main",
    null,
    createElement("p", { id: "number" }, `Call 602-555-0100 (${view})`),
    createElement("button", { id: "next", onClick: () => setView(view + 1) }, "Next"),
  );
}

hydrateRoot(
  document.querySelector("#root"),
  createElement(StrictMode, null, createElement(CallTracking), createElement(Page)),
  { onRecoverableError: (error) => window.recoverable.push(String(error)) },
);
