/** What docs/tag.md shows, as a TypeScript project with every check switched on writes it. */
import type { Dni, DniConsent, DniRow } from "../../../src/dni_allocator/tag/dni";

window.dni =
  window.dni ||
  (function (...call: unknown[]) {
    (window.dni.q = window.dni.q || []).push(call);
  } as Dni);

dni("set", { crm_id: "c-1", seats: 7, trial: true });
dni("number", (rows) => {
  const [first]: DniRow[] = rows;
  const text: string | undefined = first?.formats.national;
  const isLeft: number | null | undefined = first?.expires_in_s;
  console.log(text?.trim(), isLeft, first?.status === "overflow", first?.lease_id);
});
dni("number", (rows: DniRow[]) => console.log(rows.length), "+16025550142");
dni("swap");
dni("swap", document.body);
dni("ask");
dni("test", "+16025550199");
const mode: DniConsent = "session";
dni("consent", mode);
dni("on", "assigned", (rows) => rows.map((row) => row.number.length));
dni("on", "swapped", (places) => places.toFixed());
dni("on", "failed", (reason) => reason.trim());
dni("on", "found", (place) => place.getBoundingClientRect());
dni("on", "asked", (request) => {
  request.fields["plan"] = request.visitor_id + request.consent;
});
