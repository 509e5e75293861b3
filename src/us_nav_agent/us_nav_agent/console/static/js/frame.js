// The newest frame, and over it what the policy made of it.
import { at, fixed, make, put } from "./dom.js";

const NAMES = ["up", "down", "left", "right", "stop"];
const context = at("frame").getContext("2d", { alpha: false });
let shown = 0;

// A JPEG's picture, decoded off the main thread. Making a Blob waits for the browser's own process (an eighth of the main
// thread's time in a profile of a busy machine); ImageDecoder takes the bytes where they are. Browsers have it on loopback
// and under https alone.
async function decode(data) {
  if (!globalThis.ImageDecoder) return createImageBitmap(new Blob([data], { type: "image/jpeg" }));
  const decoder = new ImageDecoder({ data, type: "image/jpeg" });
  const { image } = await decoder.decode();
  decoder.close();
  return image;
}

// Decodes and draws a frame; the number of frames drawn since the page was opened is told in its data-shown.
export async function drawPicture(data, { width, height }) {
  const picture = await decode(data);
  const { canvas } = context;
  if (canvas.width !== width || canvas.height !== height) {
    canvas.width = width;
    canvas.height = height;
  }
  context.drawImage(picture, 0, 0);
  picture.close();
  canvas.dataset.shown = ++shown;
}

function bar(name, kind = "") {
  const value = make("b", { textContent: "–" });
  const fill = make("i");
  const row = make("div", { className: `bar ${kind}` }, make("span", { textContent: name }), value, fill);
  return {
    row,
    show(number, part, digits, chosen = false) {
      put(value, fixed(number, digits));
      fill.style.setProperty("--part", Math.min(Math.max(part || 0, 0), 1));
      row.classList.toggle("chosen", chosen);
    },
  };
}

const qBars = NAMES.map((name) => bar(name));
const stopBar = bar("p(stop)", "stop");
const trustBar = bar("trust");
trustBar.row.title = "the policy's confidence in this decision";
const valueBar = make("p", { className: "note" });
at("q-bars").append(...qBars.map((each) => each.row));
at("policy-bars").append(stopBar.row, trustBar.row, valueBar);

export function showFrame({ frame, decision }, state) {
  at("no-frame").hidden = frame !== null;
  const delay = frame?.delay == null ? "" : ` · ${(frame.delay * 1000).toFixed(0)} ms after capture`;
  put(at("frame-note"), frame ? `${frame.width} × ${frame.height}${state === "recording" ? "" : ` · ${fixed(frame.rate, 0)} /s${delay}`}` : "");
  at("overlay").hidden = decision === null;
  if (decision === null) return;
  const { q, action, stop, confidence } = decision;
  const known = q.filter((value) => value !== null);
  const low = Math.min(...known);
  const span = Math.max(...known) - low || 1;
  qBars.forEach((each, index) => {
    each.row.hidden = index >= q.length;
    if (index < q.length) each.show(q[index], 0.04 + (0.96 * (q[index] - low)) / span, 3, NAMES[index] === action);
  });
  stopBar.show(stop, stop, 3, action === "stop");
  trustBar.show(confidence, confidence, 2);
  put(valueBar, `V ${fixed(decision.value, 3)} · ${decision.model}`);
  at("arrow").dataset.action = action;
  at("arrow").setAttribute("aria-label", `Action ${action}`);
  put(at("action"), action.toUpperCase());
  put(at("action-note"), `step ${decision.step} · ${fixed(decision.latency_ms, 0)} ms`);
}
