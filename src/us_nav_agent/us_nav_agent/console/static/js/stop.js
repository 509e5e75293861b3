// The stop. Pressed once it goes both ways, to the server and to the stop beside it; one answer is enough.
import { at, order, put } from "./dom.js";

const WAIT = 4000; // ms

export function openStop(about) {
  const button = at("stop");
  const said = at("stop-said");
  button.disabled = !about.orders;
  if (!about.orders) return;
  const beside = `${location.protocol}//${location.hostname}:${about.stop_port}/stop`;

  async function press() {
    const pressed = performance.now();
    put(said, "stopping …");
    delete said.dataset.done;
    const ways = ["/orders/stop", beside].map((url) => order(url, WAIT));
    const stopped = ways.map((way) => way.then((answer) => (answer.done ? answer : Promise.reject(answer))));
    const answer = await Promise.any(stopped).catch(() => Promise.all(ways).then(([first, second]) => (first.words.includes("server did not") ? second : first)));
    const after = `${(performance.now() - pressed).toFixed(0)} ms`;
    said.dataset.done = answer.done;
    put(said, answer.done ? `${answer.words}, answered after ${after}` : `NOT ANSWERED: ${answer.words}. Use the robot's own emergency stop.`);
  }

  button.addEventListener("click", press);
  // Before everything else that takes keys.
  addEventListener("keydown", (event) => {
    if (event.key !== "Escape" || event.repeat) return;
    event.preventDefault();
    event.stopPropagation();
    press();
  }, { capture: true });
}
