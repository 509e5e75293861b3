// What is old is never shown as live: the lamp, the alarm over the page, and each panel's age.
import { at, put, seconds } from "./dom.js";

const SILENT = 1.5; // s without anything from the graph
const STREAMS = [["frame", "NO NEW FRAMES"], ["probe", "NO NEW STATE OF THE PROBE"]]; // once seen they have to go on

// What is wrong with the data of a live graph, and the age [s] of the newest of it; null where nothing is.
function staleness(link, turn) {
  if (turn === null || turn.age === null) return ["NO DATA FROM THE ROS GRAPH YET · is a launch file running in this ROS domain?", null];
  if (link.ageNow(turn.age) > SILENT) return ["NO DATA FROM THE ROS GRAPH", link.ageNow(turn.age)];
  const stream = STREAMS.find(([name]) => turn[name] && link.ageNow(turn[name].age) > SILENT);
  return stream ? [stream[1], link.ageNow(turn[stream[0]].age)] : null;
}

export function showFreshness(link, recording) {
  const turn = link.turn;
  let state = recording ? "recording" : "live";
  let wrong = recording ? null : staleness(link, turn);
  if (link.lost) {
    state = "lost";
    wrong = ["CONNECTION TO THE CONSOLE LOST · trying again", turn?.age == null ? null : link.ageNow(turn.age)];
  } else if (wrong) {
    state = "silent";
  }
  const [words, age] = wrong ?? ["", null];
  document.documentElement.dataset.link = state;
  const lamp = { live: "● LIVE", recording: "▮ RECORDING", lost: "✕ LOST", silent: "✕ NO DATA" }[state];
  put(at("link"), age === null ? lamp : `${lamp} ${seconds(age)}`);
  at("alarm").hidden = !wrong;
  put(at("alarm"), age === null ? words : `${words} · newest data ${seconds(age)} old`);
  return state;
}

// Marks a panel as old where its datum, of this age [s] or none, is older than the panel's limit, and says the age.
export function showAge(panel, age, lost) {
  const old = age !== null && (lost || age > Number(panel.dataset.limit));
  panel.toggleAttribute("data-old", old);
  put(panel.querySelector(":scope > h2 .age, #bars > .age"), old ? `${seconds(age)} old` : "");
}
