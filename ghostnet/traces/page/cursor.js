// The cursor: where it is in time, the values of all lines there, and the unit of the heat map below it.

import {cutText, line, text} from "./ink.js";
import {nameOf} from "./figure.js";
import {SIZES} from "./look.js";
import {readOut} from "./panel.js";
import {short, symbolText, timeText} from "./scales.js";
import {firstAt} from "./strands.js";

/** The row of a strand that stands for a time, -1 where nothing was recorded. */
function rowAt(strand, time) {
  const row = firstAt(strand.x, time);
  return row < strand.x.length && strand.starts[row] <= time ? row : -1;
}

/** Draw the read-out for a point of the page; returns the unit of the heat map there. */
export function drawCursor(context, layout, scene, drawn, point) {
  context.clearRect(0, 0, layout.full, layout.height);
  const {left, width, bottom} = layout,
    {theme, strands} = scene;
  if (!point || point.x < left || point.x > left + width || point.y > bottom || !strands.length) return null;
  const time = drawn.time.invert(point.x),
    at = Object.assign(new Number(time), {pixel: point.x});
  context.strokeStyle = theme.faint;
  context.lineWidth = 1;
  line(context, point.x + 0.5, SIZES.ruler - 2, point.x + 0.5, bottom);
  for (const panel of drawn.panels) {
    const nearest = readOut(context, {layout, theme}, panel, at, point.y, rowAt);
    const inside = point.y >= panel.box.top && point.y <= panel.box.top + panel.box.height;
    if (nearest && inside) nameTag(context, theme, layout, nearest, panel, point, rowAt(nearest.strand, time));
  }
  timeTag(context, layout, scene, time, point.x);
  const {heat} = drawn;
  if (!heat || point.y < heat.box.top || point.y > heat.box.top + heat.box.height) return null;
  const unit = heat.unitAt(point.y),
    row = rowAt(heat.strand, time);
  if (row >= 0) {
    const value = heat.block.values[heat.block.codes[heat.block.units.indexOf(unit) * heat.block.rows + row]];
    tag(context, theme, layout, [`${symbolText(heat.name)}, unit ${unit}: ${short(value)}`], point.x, point.y - 14);
  }
  return unit;
}

function nameTag(context, theme, layout, {label, values, colour}, {panel, y}, point, row) {
  if (row < 0) return;
  const value = values.middle[row],
    range = values.low ? ` (${short(values.low[row])} to ${short(values.high[row])})` : "";
  tag(
    context,
    theme,
    layout,
    [`${symbolText(panel.name)}, ${label}: ${short(value)}${range}`],
    point.x,
    y(value) - 14,
    colour,
  );
}

function timeTag(context, layout, {strands, theme, state}, time, x) {
  const span = state.axis === "onset" ? state.to - state.from : Infinity;
  const [strand] = strands,
    {source, runs, place, rows} = strand.parts.at(-1),
    row = rowAt(strand, time);
  const words = [timeText(time, span)];
  if (row >= 0) {
    const own = rows[row];
    words.push(
      `${source.phases[source.phase[own]]}, step ${Math.round(source.ends[own] / source.dt)}`,
      nameOf(source, source.presentationOf[own], place, runs[0]),
    );
  } else words.push("not recorded");
  tag(context, theme, layout, [words.join(" · ")], x, layout.bottom + 11);
}

function tag(context, theme, layout, [words], x, y, colour = theme.ink) {
  context.font = SIZES.small;
  const shown = cutText(context, words, layout.width),
    wide = context.measureText(shown).width + 10;
  const from = Math.min(Math.max(layout.left, x - wide / 2), layout.left + layout.width - wide);
  context.fillStyle = theme.paper;
  context.fillRect(from, y - 9, wide, 18);
  context.strokeStyle = theme.edge;
  context.lineWidth = 1;
  context.beginPath();
  context.rect(from + 0.5, y - 9.5, wide - 1, 18);
  context.stroke();
  text(context, shown, from + 5, y, colour, SIZES.small);
}
