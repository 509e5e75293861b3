// A recording: play, pause, scrub.
import { at, put } from "./dom.js";

const STEP = 1; // s, by the arrow keys
let held = false;
let playing = false;

const clock = (time) => `${Math.floor(time / 60)}:${(time % 60).toFixed(1).padStart(4, "0")}`;

export function openPlayer(link) {
  const slider = at("seek");
  at("player").hidden = false;
  const toggle = () => link.say({ play: !playing });
  at("play").addEventListener("click", toggle);
  slider.addEventListener("pointerdown", () => (held = true));
  slider.addEventListener("change", () => (held = false));
  slider.addEventListener("input", () => link.say({ seek: Number(slider.value) }));
  addEventListener("keydown", (event) => {
    if (event.target.matches("select, summary, input")) return;
    if (event.key === " " && event.target !== at("play")) {
      event.preventDefault();
      toggle();
    } else if (event.key === "ArrowLeft" || event.key === "ArrowRight") {
      link.say({ seek: Number(slider.value) + (event.key === "ArrowLeft" ? -STEP : STEP) });
    }
  });
}

export function showPlayer({ player }) {
  if (!player) return;
  const slider = at("seek");
  playing = player.playing;
  slider.max = player.duration;
  if (!held) slider.value = player.position;
  put(at("play"), playing ? "Pause" : "Play");
  put(at("clock"), `${clock(player.position)} / ${clock(player.duration)}`);
  slider.setAttribute("aria-valuetext", clock(player.position));
}
