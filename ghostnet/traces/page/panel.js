// A panel: the lines of the chosen units of one variable, their axis and their legend.

import {cutText, line, text} from "./ink.js";
import {fillBetween, seenOf, stroke, widened} from "./lines.js";
import {colourOf, DASHES, SIZES} from "./look.js";
import {logTicks, powerText, scale, short, symbolText, ticks} from "./scales.js";
import {lineOf} from "./strands.js";

const MOST_DECADES = 12,
  ROW = 15;

/** Draw a panel; returns {y, lines: [{name, colour, dash, strand, values, …}], box} for the cursor. */
export function drawPanel(drawing, panel, box) {
  const {context, layout, theme} = drawing,
    {lines, reach} = gathered(drawing, panel);
  const log = panel.log && reach[1] > 0,
    y = yScale(reach, log, box);
  drawYAxis(drawing, panel, y, box);
  context.save();
  context.beginPath();
  context.rect(layout.left, box.top, layout.width, box.height);
  context.clip();
  for (const one of lines) drawLine(context, one, y);
  for (const one of lines) if (one.right) drawRight(context, one, y);
  context.setLineDash([]);
  context.restore();
  drawLegend(drawing, lines, box);
  const note = lines.length
    ? ""
    : panel.units.length
      ? "decoding…"
      : "no unit is chosen: give some above, or click a row of the heat map";
  text(context, note, layout.left + layout.width / 2, box.top + box.height / 2, theme.faint, SIZES.font, "center");
  return {y, lines, box, panel};
}

/** Every line with the points that can be seen, and the range of all. */
function gathered(drawing, panel) {
  const {strands, cuts, time, layout, theme, state, sources} = drawing,
    lines = [];
  let reach = [Infinity, -Infinity];
  strands.forEach((strand, s) =>
    panel.units.forEach((unit, place) => {
      const values = lineOf(strand, panel.name, unit, panel.log);
      if (!values) return;
      const {source, runs} = strand.parts[0],
        variable = source.variables[panel.name];
      const see = (array) => seenOf(array, strand, cuts[s], time, layout.left),
        points = see(values.middle);
      const band = values.low ? [see(values.low), see(values.high)] : null;
      for (const part of [points, ...(band ?? [])]) reach = widened(reach, part, panel.log);
      const dash =
        sources.length > 1 && state.compare === "over" ? source.number : Math.floor(place / theme.lines.length);
      lines.push({
        unit,
        strand,
        values,
        points,
        band,
        runs,
        colour:
          panel.units.length > 1
            ? colourOf(theme, variable, source.depth, unit, place)
            : theme.lines[s % theme.lines.length],
        dash: DASHES[dash % DASHES.length],
        faint: strand.item && strand.item[0] !== state.p ? 0.55 : 1,
        right: rightOf(drawing, strand, cuts[s], variable, unit, points),
        label: labelOf(drawing, strand, variable, unit),
      });
    }),
  );
  if (!state.fit) reach = wholeReach(lines, panel.log);
  return {lines, reach};
}

function wholeReach(lines, log) {
  let [low, high] = [Infinity, -Infinity];
  for (const {values} of lines) {
    for (const array of [values.middle, values.low, values.high]) {
      for (const value of array ?? []) {
        if (value < low && Number.isFinite(value) && (!log || value > 0)) low = value;
        if (value > high && Number.isFinite(value)) high = value;
      }
    }
  }
  return [low, high];
}

/** Of an output unit, the points at which its class is shown. */
function rightOf({state}, strand, edges, {k, axis}, unit, points) {
  const [{source, runs, place, rows}] = strand.parts;
  if (k !== source.depth || !axis.startsWith("unit") || strand.parts.length > 1 || points.length < 2) return null;
  const shown = (row) => source.presentations[source.presentationOf[row]].label[runs[0]][place] === unit;
  if (state.axis === "onset") return shown(rows[0]) ? [points] : null;
  const dense = points.length && rows.length > 3 * edges.length && edges.at(-1) - edges[0] > 3 * edges.length;
  if (dense) return null; // presentations are narrower than can be told apart
  const first = Math.max(0, edges[0] - 1),
    found = [];
  points.forEach((point, i) => {
    if (!shown(rows[Math.min(first + i, rows.length - 1)])) return;
    if (i && found.length && found.at(-1).end === i - 1) {
      found.at(-1).points.push(point);
      found.at(-1).end = i;
    } else found.push({points: [{...point, begins: true}], end: i});
  });
  return found.map((part) => part.points);
}

function labelOf({state, sources}, strand, variable, unit) {
  const {source, runs} = strand.parts[0],
    words = [variable.axis ? `${variable.axis.startsWith("ghost") ? "ghost" : "unit"} ${unit}` : ""];
  if (state.seeds.length > 1 && runs.length === 1) words.push(`s${source.seeds[runs[0]]}`);
  if (strand.item && state.also.length)
    words.push(`#${strand.of ? strand.of.number : source.presentations[strand.item[0]].n}`);
  if (strand.parts.length > 1 && sources.length > 2) words.push(source.name);
  return words.filter(Boolean).join(" · ") || "norm";
}

function yScale([low, high], log, {top, height}) {
  if (!(low <= high)) [low, high] = log ? [1e-3, 1] : [0, 1];
  if (log) {
    low = Math.max(low, high * 10 ** -MOST_DECADES);
    return scale(low / 1.3, high * 1.3, top + height, top, true);
  }
  const pad = (high - low) * 0.06 || Math.abs(high) * 0.1 || 0.5;
  return scale(low - pad, high + pad, top + height, top);
}

function drawYAxis({context, layout, theme}, panel, y, {top, height}) {
  const values = y.log ? logTicks(y.low, y.high, height / 26) : ticks(y.low, y.high, height / 32);
  context.lineWidth = 1;
  for (const value of values) {
    context.strokeStyle = theme.rule;
    line(context, layout.left, y(value), layout.left + layout.width, y(value));
    text(
      context,
      y.log ? powerText(value) : short(value, 6),
      layout.left - 6,
      y(value),
      theme.faint,
      SIZES.small,
      "right",
    );
  }
  context.strokeStyle = theme.edge;
  line(context, layout.left - 0.5, top, layout.left - 0.5, top + height);
  text(
    context,
    y.log && !panel.name.startsWith("norm") ? `|${symbolText(panel.name)}|` : symbolText(panel.name),
    8,
    top + height / 2,
    theme.ink,
    SIZES.font,
  );
}

function drawLine(context, one, y) {
  context.strokeStyle = context.fillStyle = one.colour;
  context.lineWidth = 1.3;
  context.setLineDash(one.dash);
  if (one.band) {
    context.globalAlpha = 0.2;
    fillBetween(context, ...one.band, y);
  }
  context.globalAlpha = one.faint;
  stroke(context, one.points, y);
  context.globalAlpha = 1;
}

/** The right class stands out. */
function drawRight(context, one, y) {
  context.strokeStyle = one.colour;
  context.lineWidth = 3.2;
  context.setLineDash(one.dash);
  for (const points of one.right) stroke(context, points, y);
}

/** Lines by what the legend calls them: those of two traces share a row. */
function legendOf(lines, {height}) {
  const rows = new Map(),
    most = Math.floor(height / ROW);
  for (const one of lines) rows.set(one.label, [...(rows.get(one.label) ?? []), one]);
  const all = [...rows],
    fits = all.length <= most ? all.length : most - 1;
  return {shown: all.slice(0, fits), left: all.length - fits};
}

function drawLegend({context, layout, theme}, lines, box) {
  const x = layout.left + layout.width + 12,
    {shown, left} = legendOf(lines, box);
  shown.forEach(([label, [one]], i) => {
    const y = box.top + ROW * (i + 0.5);
    swatch(context, one, x, y, 20);
    text(context, cutText(context, label, 112), x + 25, y, theme.ink, SIZES.small);
  });
  if (left) text(context, `and ${left} more`, x, box.top + ROW * (shown.length + 0.5), theme.faint, SIZES.small);
}

function swatch(context, {colour, dash}, x, y, width) {
  context.strokeStyle = colour;
  context.lineWidth = 2;
  context.setLineDash(dash);
  line(context, x, y, x + width, y);
  context.setLineDash([]);
}

/** The values of all lines at a time, in place of the legend; returns the line that is nearest to the height y. */
export function readOut(context, {layout, theme}, {y: scaleY, lines, box}, time, height, chosen) {
  const x = layout.left + layout.width + 12;
  context.fillStyle = theme.paper;
  context.fillRect(x - 8, box.top, layout.full - x + 8, box.height);
  let nearest = null,
    least = Infinity;
  const valueAt = (one) => one.values.middle[chosen(one.strand, time)];
  legendOf(lines, box).shown.forEach(([label, group], i) =>
    legendValues(context, theme, label, group, group.map(valueAt), x, box.top + ROW * (i + 0.5)),
  );
  lines.forEach((one) => {
    const at = scaleY(valueAt(one)),
      away = Math.abs(at - height);
    if (away < least && Number.isFinite(away)) [nearest, least] = [one, away];
    if (Number.isFinite(at) && at >= box.top && at <= box.top + box.height)
      dot(context, theme, one.colour, time.pixel, at);
  });
  return least < 40 ? nearest : null;
}

function legendValues(context, theme, label, [one], values, x, y) {
  const shown = values
    .slice(0, 2)
    .map((value) => (value === undefined ? "–" : short(value, values.length > 1 ? 3 : 4)));
  swatch(context, one, x, y, 12);
  text(
    context,
    cutText(context, label.replace(/^unit |^ghost /, ""), values.length > 1 ? 26 : 62),
    x + 17,
    y,
    theme.ink,
    SIZES.small,
  );
  shown.reverse().forEach((words, i) => text(context, words, x + 132 - 46 * i, y, theme.ink, SIZES.small, "right"));
}

function dot(context, theme, colour, x, y) {
  context.fillStyle = theme.paper;
  context.fillRect(x - 3, y - 3, 6, 6);
  context.fillStyle = colour;
  context.fillRect(x - 2, y - 2, 4, 4);
}
