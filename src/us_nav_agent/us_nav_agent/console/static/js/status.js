// Session, bridge machine, contact and force in the header; what the nodes say of themselves.
import { at, fixed, make, put, seconds } from "./dom.js";

const OLD = 3; // s; nodes speak once a second
const lines = new Map();

function vital(id, words, bad, old) {
  put(at(id), words);
  at(id).classList.toggle("bad", Boolean(bad));
  at(id).classList.toggle("old", Boolean(old));
}

export function showVitals(turn, age) {
  const { probe, diagnostics } = turn;
  const bridge = diagnostics.find((each) => each.name === "bridge");
  const values = Object.fromEntries(bridge?.values ?? []);
  const probeOld = probe && age(probe.age) > 1;
  const bridgeOld = bridge && age(bridge.age) > OLD;
  const session = probe?.session ?? "–";
  vital("session", session === "NONE" ? "none" : session.toLowerCase().replace("_", " "), false, probeOld);
  vital("machine", values.machine ?? "–", bridge?.level === "error", bridgeOld);
  vital("contact", probe ? (probe.contact ? "yes" : "no") : "–", false, probeOld);
  vital("force", probe?.force == null ? "–" : `${fixed(probe.force, 2)} of ${fixed(probe.set_point, 2)} N`, probe?.force > 5, probeOld);
}

function line(name) {
  const parts = { level: make("span", { className: "chip" }), name: make("b", { textContent: name }), said: make("span", { className: "said" }), age: make("span", { className: "age" }), values: make("dl") };
  parts.item = make("li", {}, make("details", {}, make("summary", {}, parts.level, parts.name, parts.said, parts.age), parts.values));
  return parts;
}

export function showDiagnostics({ diagnostics }, age) {
  const list = at("diagnostics");
  if (diagnostics.length && !lines.size) list.replaceChildren();
  for (const said of diagnostics) {
    if (!lines.has(said.name)) {
      lines.set(said.name, line(said.name));
      list.append(lines.get(said.name).item);
    }
    const parts = lines.get(said.name);
    const old = age(said.age) > OLD;
    const level = old ? "stale" : said.level;
    parts.level.dataset.level = level;
    put(parts.level, level.toUpperCase());
    put(parts.said, said.message);
    put(parts.age, old ? `${seconds(age(said.age))} old` : "");
    const values = JSON.stringify(said.values);
    if (parts.told !== values) {
      parts.told = values;
      parts.values.replaceChildren(...said.values.flatMap(([key, value]) => [make("dt", { textContent: key }), make("dd", { textContent: value || "–" })]));
    }
  }
}
