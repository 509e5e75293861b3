// The run: where it stands, which view it is sent to, start and cancel.
import { at, make, order, put } from "./dom.js";

const WAIT = 15000; // ms
let asked = "";
let orders = false;

export function openRun(about) {
  orders = about.orders;
  at("target").replaceChildren(...about.targets.map((name) => make("option", { value: name, textContent: name })));
  const send = (path, words) => async () => {
    asked = words;
    const { done, words: said } = await order(path(), WAIT);
    asked = done ? "" : said;
  };
  at("start").addEventListener("click", send(() => `/orders/start?target=${encodeURIComponent(at("target").value)}`, "asking the policy node …"));
  at("cancel").addEventListener("click", send(() => "/orders/cancel", "cancelling …"));
}

export const target = () => at("target").value;

// A bag names no target of its run; its goals are those to choose from.
export function offerGoals({ grid }) {
  if (orders) return;
  const names = Object.keys(grid.goals);
  if (names.length === at("target").options.length) return;
  const chosen = target() || "sacrum";
  at("target").replaceChildren(...names.map((name) => make("option", { value: name, textContent: name })));
  if (names.includes(chosen)) at("target").value = chosen;
}

export function showRun({ run }, lost) {
  const under = run.phase === "running" || run.phase === "asked";
  at("start").disabled = !orders || lost || under;
  at("cancel").disabled = !orders || lost || !under;
  at("phase").dataset.phase = run.phase;
  put(at("phase"), lost ? "unknown" : run.phase);
  put(at("run-said"), asked || [run.target, run.words].filter(Boolean).join(": ") || "\u00a0");
}
