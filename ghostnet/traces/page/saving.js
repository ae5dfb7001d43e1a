// The picture shown as PNG or SVG, and its numbers as CSV.

import {draw, layoutOf} from "./figure.js";
import {text} from "./ink.js";
import {SIZES} from "./look.js";
import {symbolText} from "./scales.js";
import {firstAt, lineOf} from "./strands.js";
import {Svg} from "./svg.js";

const PIXELS = 2; // of a PNG, for each of the page's

/** Draw the scene with titles in place of the page's controls. */
function figure(context, scene, layout) {
  const drawn = draw(context, layout, scene),
    {state, theme} = scene;
  state.panels.forEach(({name}, i) => title(context, scene, name, layout.panels[i].header));
  if (drawn.heat) title(context, scene, state.heat, layout.heat.header);
  text(
    context,
    scene.sources.map(({name, title: about}) => `${name}: ${about}`).join("   "),
    8,
    layout.height + 10,
    theme.faint,
    SIZES.small,
  );
}

function title(context, {sources, theme}, name, top) {
  const {about} = sources[0].variables[name];
  text(context, `${symbolText(name)}: ${about}`, SIZES.left, top + SIZES.header / 2, theme.ink, SIZES.font);
}

export function savePng(scene, width, height, name) {
  const layout = layoutOf(scene.state, width, height),
    canvas = document.createElement("canvas");
  [canvas.width, canvas.height] = [layout.full * PIXELS, (layout.height + 20) * PIXELS];
  const context = canvas.getContext("2d");
  context.scale(PIXELS, PIXELS);
  context.fillStyle = scene.theme.paper;
  context.fillRect(0, 0, canvas.width, canvas.height);
  figure(context, scene, layout);
  canvas.toBlob((blob) => download(blob, `${name}.png`));
}

export function saveSvg(scene, width, height, name) {
  const layout = layoutOf(scene.state, width, height),
    svg = new Svg(layout.full, layout.height + 20);
  svg.fillStyle = scene.theme.paper;
  svg.fillRect(0, 0, layout.full, layout.height + 20);
  figure(svg, scene, layout);
  download(new Blob([String(svg)], {type: "image/svg+xml"}), `${name}.svg`);
}

export function saveCsv(scene, name) {
  download(new Blob([csvOf(scene)], {type: "text/csv"}), `${name}.csv`);
}

/** A row for every time that is shown of every strand, a column for every unit of every panel. */
export function csvOf({strands, state}) {
  const columns = state.panels.flatMap(({name, units}) => units.map((unit) => [name, unit]));
  const head = ["trace", "seed", "presentation", "example", "class", "phase", "step", "time_s"];
  const rows = [[...head, ...columns.map(([name, unit]) => (name.startsWith("norm") ? name : `${name}[${unit}]`))]];
  for (const strand of strands) {
    const {source, runs, place, rows: own} = strand.parts.at(-1);
    const lines = columns.map(([name, unit]) => lineOf(strand, name, unit, false)?.middle);
    const trace = strand.parts.length > 1 ? strand.parts.map((part) => part.source.name).join(" - ") : source.name;
    for (let i = firstAt(strand.x, state.from); i < strand.x.length && strand.x[i] <= state.to; i++) {
      const one = source.presentations[source.presentationOf[own[i]]],
        step = Math.round(source.ends[own[i]] / source.dt);
      rows.push([
        trace,
        runs.map((run) => source.seeds[run]).join(" "),
        one.n,
        one.index[runs[0]][place],
        one.label[runs[0]][place],
        source.phases[source.phase[own[i]]],
        step,
        +strand.x[i].toPrecision(12),
        ...lines.map((line) => +(line?.[i] ?? NaN).toPrecision(7)),
      ]);
    }
  }
  return `${rows.map((row) => row.map(cell).join(",")).join("\n")}\n`;
}

function cell(value) {
  return /[",\n]/.test(value) ? `"${String(value).replaceAll('"', '""')}"` : value;
}

function download(blob, name) {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(blob);
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 1000);
}
