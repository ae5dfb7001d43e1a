// The figure: a ruler of presentations, panels of lines, the heat map and the axis of time, one below the other. It draws
// on whatever has a canvas's methods: the page's own canvas, or the SVG writer.

import {drawHeat} from "./heatpanel.js";
import {cutText, line, text} from "./ink.js";
import {columnsOf, coveredOf} from "./lines.js";
import {DASHES, SIZES} from "./look.js";
import {drawPanel} from "./panel.js";
import {missed} from "./records.js";
import {scale, short, ticks, timeUnit} from "./scales.js";
import {firstAt} from "./strands.js";

/** Where everything is, for a width and height. */
export function layoutOf(state, width, height) {
  const {left, right, ruler, header, axis, gap} = SIZES,
    count = state.panels.length;
  const room = Math.max(320, height - ruler - axis - (count + 1) * (header + gap));
  const heat = Math.round(room * (count ? 0.38 : 1)),
    each = Math.round((room - heat) / Math.max(1, count));
  const found = {left, width: Math.max(200, width - left - right), full: width, panels: []};
  let y = ruler;
  for (let i = 0; i < count; i++) {
    found.panels.push({header: y, top: y + header, height: each});
    y += header + each + gap;
  }
  found.heat = {header: y, top: y + header, height: heat};
  y += header + heat + gap;
  return Object.assign(found, {bottom: y - gap, height: y - gap + axis});
}

/** Draw all of it. scene: {sources, state, strands, theme, blocks, titles}. Returns what the cursor needs. */
export function draw(context, layout, scene) {
  const {state, strands, theme} = scene,
    {left, width} = layout;
  const time = scale(state.from, state.to, left, left + width);
  context.fillStyle = theme.paper;
  context.fillRect(0, 0, layout.full, layout.height);
  context.font = SIZES.font;
  const cuts = strands.map((one) => columnsOf(one.x, time, left, width));
  const covers = strands.map((one, i) => coveredOf(one, cuts[i], time, left));
  const drawing = {context, layout, time, cuts, covers, ...scene};
  const panels = state.panels.map((panel, i) => {
    background(drawing, layout.panels[i]);
    return drawPanel(drawing, panel, layout.panels[i]);
  });
  const heat = strands.length ? drawHeat(drawing, layout.heat) : null;
  drawRuler(drawing);
  drawAxis(drawing);
  return {time, panels, heat};
}

const UNRECORDED = -1,
  MIXED = -2; // in place of a phase, for a column of pixels

/** The columns in which each phase is: [phase, or one of the above, first, last + 1]. */
function stretches({strands, cuts: [edges], covers}) {
  const [one] = strands,
    found = [];
  if (!one) return found;
  const {source, rows} = one.parts[0],
    phaseAt = (i) => source.phase[rows[Math.min(i, rows.length - 1)]];
  covers[0].forEach((covered, column) => {
    const first = edges[column],
      last = Math.max(first, edges[column + 1] - 1);
    const phase = !covered ? UNRECORDED : last - first > source.shortest ? MIXED : phaseAt(first);
    if (found.at(-1)?.[0] === phase) found.at(-1)[2]++;
    else found.push([phase, column, column + 1]);
  });
  return found;
}

function background(drawing, {top, height}) {
  const {context, theme, layout, time} = drawing;
  for (const [phase, start, stop] of stretches(drawing)) {
    context.fillStyle = phase === UNRECORDED ? theme.void : theme.phases[phase % theme.phases.length];
    if (phase && phase !== MIXED) context.fillRect(layout.left + start, top, stop - start, height);
  }
  context.strokeStyle = theme.rule;
  context.lineWidth = 1;
  for (const value of ticks(time.low, time.high, layout.width / 110)) {
    line(context, time(value), top, time(value), top + height);
  }
}

function drawRuler(drawing) {
  const {context, layout, state, strands, theme, time, sources} = drawing,
    [one] = strands;
  if (!one) return;
  const {source, runs, place} = one.parts.at(-1);
  context.save();
  context.beginPath();
  context.rect(layout.left, 0, layout.width, layout.height);
  context.clip();
  if (state.axis === "onset") {
    const shown = [[state.p, state.place], ...state.also].map(([p, b]) => nameOf(source, p, b, runs[0])).join("   ");
    text(context, shown, layout.left + 4, 12, theme.ink, SIZES.font);
  } else {
    const [first, last] = [time.low, time.high].map(
      (at) => source.presentationOf[Math.min(source.rows - 1, firstAt(source.ends, at))],
    );
    if (last - first < layout.width / 8) {
      for (let p = first; p <= last; p++) rulerPart(drawing, source, p, place, runs[0]);
    } else
      text(
        context,
        `presentations #${source.presentations[first].n} to #${source.presentations[last].n}`,
        layout.left + 4,
        12,
        theme.faint,
        SIZES.font,
      );
  }
  context.restore();
  phaseNames(drawing, source);
  if (sources.length > 1) sourceKey(drawing);
}

/** Which strokes are whose. */
function sourceKey({context, layout, sources, theme, state}) {
  if (state.compare === "difference") {
    const words = `${sources.length > 2 ? "each" : sources[1].name} − ${sources[0].name}`;
    text(
      context,
      cutText(context, words, SIZES.right - 14),
      layout.left + layout.width + 12,
      12,
      theme.ink,
      SIZES.small,
    );
    return;
  }
  sources.forEach((source, i) => {
    const x = layout.left + layout.width + 12,
      y = 9 + 15 * i;
    context.strokeStyle = theme.ink;
    context.lineWidth = 1.5;
    context.setLineDash(DASHES[i % DASHES.length]);
    line(context, x, y, x + 26, y);
    context.setLineDash([]);
    text(context, cutText(context, source.name, 106), x + 32, y, theme.ink, SIZES.small);
  });
}

function rulerPart({context, theme, time, state, layout}, source, p, place, run) {
  const one = source.presentations[p],
    [start, stop] = one.rows;
  const from = Math.max(time(source.begins[start]), layout.left),
    to = Math.min(time(source.ends[stop - 1]), layout.left + layout.width);
  context.strokeStyle = theme.edge;
  context.lineWidth = 1;
  line(context, time(source.begins[start]), 2, time(source.begins[start]), layout.bottom);
  const wrong = missed(one, run, place),
    chosen = state.p === p;
  const said = one.said ? ` → ${one.said[run][place]}` : "",
    cross = wrong ? " ✗" : "";
  const words = [
    nameOf(source, p, place, run),
    `${one.label[run][place]}${said}${cross}`,
    `${one.label[run][place]}${cross}`,
    "",
  ];
  context.font = SIZES.font;
  const word = words.find((candidate) => context.measureText(candidate).width < to - from - 8);
  if (chosen) {
    context.fillStyle = theme.chosen;
    context.fillRect(from, 0, to - from, 2);
  }
  text(context, word, from + 5, 12, wrong ? theme.wrong : chosen ? theme.chosen : theme.ink, SIZES.font);
}

function phaseNames(drawing, source) {
  const {context, layout, theme} = drawing;
  let last = -Infinity;
  context.font = SIZES.small;
  for (const [phase, start, stop] of stretches(drawing)) {
    if (phase === MIXED) continue;
    const name = phase === UNRECORDED ? "not recorded" : source.phases[phase],
      wide = context.measureText(name).width;
    if (stop - start < wide + 8 || layout.left + start < last) continue;
    text(context, name, layout.left + start + 5, 29, theme.faint, SIZES.small);
    last = layout.left + start + wide;
  }
}

/** "#3 · class 7 · said 2 ✗" */
export function nameOf(source, p, place, run) {
  const one = source.presentations[p],
    said = one.said?.[run][place] ?? -1;
  const lane = source.places.length > 1 ? `.${source.places[place]}` : "";
  const answer = said < 0 ? "" : ` · said ${said}${missed(one, run, place) ? " ✗" : ""}`;
  return `#${one.n}${lane} · class ${one.label[run][place]}${answer}`;
}

function drawAxis({context, layout, theme, time, state, sources}) {
  const span = time.high - time.low,
    [factor, unit] = timeUnit(span),
    y = layout.bottom;
  context.strokeStyle = theme.edge;
  context.lineWidth = 1;
  line(context, layout.left, y + 0.5, layout.left + layout.width, y + 0.5);
  context.textAlign = "center";
  for (const value of ticks(time.low, time.high, layout.width / 110)) {
    text(context, short(value * factor, 7), time(value), y + 11, theme.faint, SIZES.small, "center");
  }
  const what =
    state.axis === "onset"
      ? "time since onset"
      : sources.length > 1
        ? `model time of ${sources[0].name}`
        : "model time";
  text(context, `${what} (${unit})`, layout.left + layout.width / 2, y + 26, theme.ink, SIZES.small, "center");
}
