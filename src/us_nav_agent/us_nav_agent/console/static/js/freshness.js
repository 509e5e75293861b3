// What is old is never shown as live: the lamp, the alarm over the page, and each panel's age.
import { at, put, seconds } from "./dom.js";

const SILENT = 1.5; // s without anything from the graph

export function showFreshness(link, recording) {
  const turn = link.turn;
  const known = turn !== null && turn.age !== null;
  const age = known ? link.ageNow(turn.age) : null;
  const newest = known ? `newest data ${seconds(age)} old` : "no data yet";
  let state = "live";
  let words = "";
  if (link.lost) {
    state = "lost";
    words = `CONNECTION TO THE CONSOLE LOST · ${newest} · trying again`;
  } else if (recording) {
    state = "recording";
  } else if (!known || age > SILENT) {
    state = "silent";
    words = known ? `NO DATA FROM THE ROS GRAPH · ${newest}` : "NO DATA FROM THE ROS GRAPH YET · is a launch file running in this ROS domain?";
  }
  document.documentElement.dataset.link = state;
  put(at("link"), { live: "● LIVE", recording: "▮ RECORDING", lost: "✕ LOST", silent: "✕ NO DATA" }[state] + (state === "lost" || state === "silent" ? (known ? ` ${seconds(age)}` : "") : ""));
  at("alarm").hidden = words === "";
  put(at("alarm"), words);
  return state;
}

// Marks a panel as old where its datum, of this age [s] or none, is older than the panel's limit, and says the age.
export function showAge(panel, age, lost) {
  const old = age !== null && (lost || age > Number(panel.dataset.limit));
  panel.toggleAttribute("data-old", old);
  put(panel.querySelector(":scope > h2 .age, #bars > .age"), old ? `${seconds(age)} old` : "");
}
