// Colours and sizes. The lines' are told apart by readers with any colour vision (after Okabe and Ito), on light and dark.

import {rampOf} from "./heat.js";

export const SIZES = {
  left: 74,
  right: 148,
  ruler: 40,
  header: 30,
  panel: 190,
  heat: 250,
  axis: 34,
  gap: 8,
  font: "12px system-ui, sans-serif",
  small: "11px system-ui, sans-serif",
};
export const DASHES = [[], [7, 4], [2, 3]];

const RISING = [
  [12, 18, 54],
  [40, 60, 120],
  [60, 110, 140],
  [95, 160, 130],
  [170, 200, 95],
  [253, 231, 80],
];
const BROKEN = ((255 << 24) | (200 << 16) | (0 << 8) | 255) >>> 0; // no number: magenta

export const THEMES = {
  light: {
    paper: "#ffffff",
    ink: "#1d2430",
    faint: "#697386",
    rule: "#e3e7ed",
    edge: "#b8c0cc",
    void: "#f1f2f4",
    phases: ["transparent", "#dfe9f5", "#fbe8d3", "#e4f1e4"],
    chosen: "#0b62c4",
    wrong: "#b3261e",
    lines: [
      "#0072b2",
      "#d55e00",
      "#009e73",
      "#b8508f",
      "#a07800",
      "#3d9ad6",
      "#000000",
      "#7b4fbf",
      "#8a4b2a",
      "#6b7280",
    ],
    rising: rampOf(RISING),
    diverging: rampOf([
      [5, 64, 128],
      [90, 160, 210],
      [247, 247, 247],
      [240, 150, 70],
      [140, 50, 0],
    ]),
    broken: BROKEN,
  },
  dark: {
    paper: "#14181f",
    ink: "#e6eaf0",
    faint: "#98a2b3",
    rule: "#29303b",
    edge: "#4a5362",
    void: "#1d222b",
    phases: ["transparent", "#22324a", "#43331f", "#233a2a"],
    chosen: "#6db3ff",
    wrong: "#ff8a80",
    lines: [
      "#56b4e9",
      "#f08a3c",
      "#35c79a",
      "#e58fc4",
      "#e6c229",
      "#9ad1ff",
      "#ffffff",
      "#b79bf0",
      "#d9a07c",
      "#a4acb9",
    ],
    rising: rampOf(RISING),
    diverging: rampOf([
      [150, 210, 255],
      [40, 110, 180],
      [26, 30, 38],
      [190, 90, 20],
      [255, 200, 120],
    ]),
    broken: BROKEN,
  },
};

/** The theme that a state asks for, or the reader's system. */
export function themeOf(state) {
  return state.theme || (matchMedia("(prefers-color-scheme: dark)").matches ? "dark" : "light");
}

/** The colour of a unit: of an output its own, so that a class keeps it; else by its place among those shown. */
export function colourOf(theme, variable, depth, unit, place) {
  const output = variable.k === depth && variable.axis.startsWith("unit");
  return theme.lines[(output ? unit : place) % theme.lines.length];
}
