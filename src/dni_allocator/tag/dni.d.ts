/** What a page may say to the tag. Copy this file into a TypeScript project. */

export interface DniRow {
  /** The number the page originally showed, E.164. */
  destination: string;
  /** The one to show, E.164. */
  number: string;
  display: string;
  formats: { e164: string; national: string; international: string; rfc3966: string };
  status: "leased" | "overflow" | "original";
  /** Why; the set of reasons grows. */
  reason: string;
  expires_in_s: number | null;
  lease_id: string | null;
}

export type DniConsent = "none" | "session" | "full";

export interface Dni {
  /** Calls made before the tag is there: the stub's own. */
  q?: unknown[];
  /** More fields for this visitor, now or later. */
  (command: "set", fields: Record<string, string | number | boolean>): void;
  /** The answer's rows; with a destination, also one that is not on the page. */
  (command: "number", callback: (rows: DniRow[]) => void, destination?: string): void;
  /** Swap in a node now; without one, in the document. Ends the waiting of `data-wait`. */
  (command: "swap", node?: Node): void;
  (command: "consent", mode: DniConsent): void;
  /** Ends the waiting of `data-lazy`. */
  (command: "ask"): void;
  /** Show this number for every destination; no lease is taken. */
  (command: "test", number: string): void;
  (command: "on", event: "assigned", callback: (rows: DniRow[]) => void): void;
  (command: "on", event: "swapped", callback: (places: number) => void): void;
  (command: "on", event: "failed", callback: (reason: string) => void): void;
  (command: "on", event: "found", callback: (place: Element) => void): void;
  /** Before each request; what a callback changes in `fields` is sent. */
  (
    command: "on",
    event: "asked",
    callback: (request: {
      visitor_id: string;
      consent: DniConsent;
      fields: Record<string, string>;
    }) => void,
  ): void;
}

declare global {
  /** Also `window.dni`. */
  var dni: Dni;
}
