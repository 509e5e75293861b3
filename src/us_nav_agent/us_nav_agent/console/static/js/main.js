// The page: a frame is drawn as it comes, what stands around it a little slower.
import { at, put } from "./dom.js";
import { showAge, showFreshness } from "./freshness.js";
import { drawPicture, showFrame } from "./frame.js";
import { showGrid } from "./grid.js";
import { Link } from "./link.js";
import { openPlayer, showPlayer } from "./player.js";
import { drawPlots, takeSamples } from "./plots.js";
import { offerGoals, openRun, showRun, target } from "./run.js";
import { showDiagnostics, showVitals } from "./status.js";
import { openStop } from "./stop.js";

const LOOK = 200; // ms between two looks at what has grown old
const PANELS = 125; // ms between two drawings of what stands around the frame: words change no quicker than they are read
const PLOT = 200; // ms between two drawings of the plots

// The token came with the address, and stays in a cookie.
history.replaceState(null, "", location.pathname);
const about = await (await fetch("/about")).json();
put(at("title"), about.title);
at("title").title = about.title;

let wanted = false;
let drawn = 0;
let plotted = 0;

function draw() {
  wanted = false;
  drawn = performance.now();
  const turn = link.turn;
  const state = showFreshness(link, about.recording);
  const lost = state === "lost";
  showRun(turn ?? { run: { phase: "idle", target: "", words: "" } }, lost);
  if (turn === null) return;
  const age = (age) => (about.recording && !lost ? age : link.ageNow(age));
  offerGoals(turn);
  showFrame(turn, state);
  showGrid(turn, target());
  showVitals(turn, age);
  showDiagnostics(turn, age);
  showPlayer(turn);
  const { frame, decision, probe, joints } = turn;
  const panels = { "frame-panel": frame, overlay: decision, "grid-panel": probe, "force-panel": probe, "joints-panel": joints };
  for (const [id, datum] of Object.entries(panels)) showAge(at(id), datum && age(datum.age), lost);
  if (performance.now() - plotted < PLOT) return;
  plotted = performance.now();
  drawPlots(about.recording ? turn.now : turn.now + link.ageNow(0));
}

function want() {
  if (wanted) return;
  wanted = true;
  setTimeout(() => requestAnimationFrame(draw), drawn + PANELS - performance.now());
}

const link = new Link((turn, first) => {
  takeSamples(turn, first);
  want();
}, drawPicture);
openRun(about);
openStop(about);
if (about.recording) openPlayer(link);
setInterval(() => {
  link.renew();
  want();
}, LOOK);
