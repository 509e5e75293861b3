// Force and joints over the last 30 s; samples come piece by piece.
/* global uPlot */
import { at } from "./dom.js";

const WINDOW = 30; // s
const HEIGHT = 132;
const GREY = "#93a2a9";
const JOINTS = ["#58a6ee", "#f0a93c", "#5fc48b", "#e58fb1", "#b79cf0", "#7fd6d6", "#d7d28a"];

class Plot {
  // floor, top: what the scale shows at least
  constructor(place, series, format, floor = Infinity, top = -Infinity) {
    this.place = place;
    this.rows = [];
    const axis = { stroke: GREY, grid: { stroke: "#222b30", width: 1 }, ticks: { show: false }, font: "11px sans-serif", size: 34 };
    this.plot = new uPlot(
      {
        width: this.width,
        height: HEIGHT,
        cursor: { y: false },
        legend: { live: true },
        scales: {
          x: { time: false, range: [-WINDOW, 0] },
          y: { range: (_, low, high) => uPlot.rangeNum(Math.min(low ?? floor, floor), Math.max(high ?? top, top), 0.08, true) },
        },
        axes: [{ ...axis, size: 22, values: (_, ticks) => ticks.map((tick) => `${tick} s`) }, { ...axis, size: 44 }],
        series: [
          { label: "t", value: (_, value) => (value == null ? "" : `${value.toFixed(1)} s`) },
          ...series.map((each) => ({ width: 1.5, points: { show: false }, spanGaps: false, value: (_, value) => (value == null ? "–" : format(value)), ...each })),
        ],
      },
      [[], ...series.map(() => [])],
      place,
    );
    this.columns = series.length;
    new ResizeObserver(() => this.plot.setSize({ width: this.width, height: HEIGHT })).observe(place);
  }

  get width() {
    return Math.max(this.place.clientWidth, 120);
  }

  take(samples, clear) {
    if (clear) this.rows.length = 0;
    this.rows.push(...samples);
  }

  // now: time of the samples' clock [s]
  draw(now) {
    const first = this.rows.findIndex((row) => row[0] >= now - WINDOW);
    this.rows.splice(0, first < 0 ? this.rows.length : first);
    const times = this.rows.map((row) => row[0] - now);
    const values = Array.from({ length: this.columns }, (_, column) => this.rows.map((row) => row[column + 1] ?? null));
    this.plot.setData([times, ...values]);
    // Without a pointer over the plot its legend says the newest.
    if (this.plot.cursor.left < 0 && times.length) this.plot.setLegend({ idx: times.length - 1 });
  }
}

let plots = null;
let epoch = null;

export function takeSamples(turn, first) {
  plots ??= {
    force: new Plot(at("force-plot"), [{ label: "force", stroke: "#58a6ee" }, { label: "set point", stroke: "#f0a93c", dash: [6, 4] }], (value) => value.toFixed(2), 0, 1.5),
    joint_angles: new Plot(at("joints-plot"), JOINTS.map((stroke, index) => ({ label: `A${index + 1}`, stroke })), (value) => value.toFixed(1)),
  };
  const clear = first || turn.epoch !== epoch;
  epoch = turn.epoch;
  for (const [name, plot] of Object.entries(plots)) plot.take(turn[name], clear);
}

export function drawPlots(now) {
  if (plots) for (const plot of Object.values(plots)) plot.draw(now);
}
