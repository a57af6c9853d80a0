/** Each line below is a mistake: the compiler names every one of them. */
import "../../../src/dni_allocator/tag/dni";

dni("no such command");
dni("set", { nested: {} });
dni("set");
dni("number", "+16025550142");
dni("number", (rows) => rows[0]!.phone);
dni("swap", "#number");
dni("consent", "all");
dni("test", 16025550199);
dni("on", "called", () => undefined);
dni("on", "swapped", (places) => places.trim());
dni("on", "asked", (request) => request.fields.push("plan"));
window.dni = "not a function";
