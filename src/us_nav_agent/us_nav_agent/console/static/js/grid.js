// The 11 x 15 grid seen from above the lying patient: path, value map, goal, probe.
import { at, fixed, put, svg } from "./dom.js";

const CELL = 28;
const EDGE = 16; // for the words around
const RAMP = [[35, 50, 74], [39, 106, 120], [99, 169, 130], [201, 215, 138]]; // dark to light, also without colour
const root = at("grid");
const cells = [];
let layer = null;
let drawn = "";

function build(rows, columns) {
  root.setAttribute("viewBox", `${-EDGE} ${-EDGE} ${columns * CELL + 2 * EDGE} ${rows * CELL + 2 * EDGE}`);
  for (let row = 0; row < rows; row++)
    for (let column = 0; column < columns; column++)
      cells.push(svg("rect", { class: "cell", x: column * CELL + 1, y: row * CELL + 1, width: CELL - 2, height: CELL - 2, rx: 2 }, root));
  const [middleX, middleY] = [(columns * CELL) / 2, (rows * CELL) / 2];
  const words = [["left of the patient", middleX, -5, 0], ["right of the patient", middleX, rows * CELL + 12, 0], ["caudal", -5, middleY, -90], ["cranial", columns * CELL + 12, middleY, -90]];
  for (const [word, x, y, turn] of words) svg("text", { transform: `translate(${x} ${y}) rotate(${turn})` }, root).textContent = word;
  layer = svg("g", {}, root);
}

function colour(part) {
  const place = Math.min(Math.max(part, 0), 1) * (RAMP.length - 1);
  const index = Math.min(Math.floor(place), RAMP.length - 2);
  return `rgb(${RAMP[index].map((from, i) => Math.round(from + (RAMP[index + 1][i] - from) * (place - index))).join(" ")})`;
}

const middle = ([row, column]) => [column * CELL + CELL / 2, row * CELL + CELL / 2];

// target: the view whose goal is drawn in full; the others' are hinted at.
export function showGrid({ grid, probe, decision }, target) {
  const now = JSON.stringify([grid, probe?.bin, target, decision?.action]);
  if (now === drawn) return;
  drawn = now;
  if (!cells.length) build(grid.rows, grid.columns);
  const values = grid.values.map(([, , value]) => value);
  const [low, high] = [Math.min(...values), Math.max(...values)];
  for (const cell of cells) cell.removeAttribute("style");
  for (const [row, column, value] of grid.values)
    cells[row * grid.columns + column].style.fill = colour(high > low ? (value - low) / (high - low) : 1);
  put(at("v-low"), values.length ? fixed(low, 2) : "–");
  put(at("v-high"), values.length ? fixed(high, 2) : "–");
  layer.replaceChildren();
  for (const [name, bins] of Object.entries(grid.goals))
    for (const [row, column] of bins) {
      const goal = svg("rect", { class: name === target ? "goal" : "goal other", x: column * CELL + 3, y: row * CELL + 3, width: CELL - 6, height: CELL - 6, rx: 3 }, layer);
      svg("title", {}, goal).textContent = name;
    }
  if (grid.path.length) {
    svg("polyline", { class: "path", points: grid.path.map((bin) => middle(bin).join(",")).join(" ") }, layer);
    const [x, y] = middle(grid.path[0]);
    svg("circle", { class: "start", cx: x, cy: y, r: 4.5 }, layer);
  }
  if (probe?.bin) {
    const [x, y] = middle(probe.bin);
    svg("circle", { class: "here", cx: x, cy: y, r: 7.5 }, layer);
    if (decision?.action === "stop") svg("rect", { class: "halt", x: x - 4, y: y - 4, width: 8, height: 8 }, layer);
  }
  const place = probe?.bin ? `bin ${probe.bin.join(",")}` : "";
  put(at("grid-note"), [place, grid.subject].filter(Boolean).join(" · "));
  root.dataset.path = grid.path.map((bin) => bin.join(",")).join(" ");
  root.setAttribute("aria-label", `Grid of ${grid.rows} by ${grid.columns} bins; probe in ${place || "an unknown bin"}; path of ${grid.path.length} bins`);
}
