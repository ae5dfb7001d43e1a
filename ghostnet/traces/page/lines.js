// Lines: where there are more rows than pixels, the least and the greatest value of each column of pixels are drawn.

import {firstAt} from "./strands.js";

const DENSE = 3; // rows for a column of pixels, from which on columns are drawn

/** For every column of pixels, the first of its rows; with one more entry for the end. */
export function columnsOf(x, scale, left, width) {
  const edges = new Int32Array(width + 1);
  for (let column = 0; column <= width; column++) edges[column] = firstAt(x, scale.invert(left + column));
  return edges;
}

/** For every column of pixels, whether a row stands for its time: in between nothing was recorded. */
export function coveredOf({starts}, edges, scale, left) {
  const covered = new Uint8Array(edges.length - 1);
  for (let column = 0; column < covered.length; column++) {
    const row = edges[column];
    covered[column] =
      row < edges[column + 1] || (row < starts.length && starts[row] <= scale.invert(left + column + 1)) ? 1 : 0;
  }
  return covered;
}

/** A line cut down to what can be seen: points {x, low, high, first, last} or, if sparse, its own; and its range. */
export function seenOf(values, strand, edges, scale, left) {
  const width = edges.length - 1,
    start = Math.max(0, edges[0] - 1),
    stop = Math.min(values.length, edges[width] + 1);
  return stop - start < DENSE * width ? sparse(values, strand, start, stop, scale) : dense(values, strand, edges, left);
}

function sparse(values, {x, breaks}, start, stop, scale) {
  const points = [];
  for (let i = start; i < stop; i++) {
    const value = values[i];
    points.push({x: scale(x[i]), low: value, high: value, first: value, last: value, begins: i === start || breaks[i]});
  }
  return points;
}

function dense(values, {breaks}, edges, left) {
  const points = [];
  for (let column = 0; column < edges.length - 1; column++) {
    const start = edges[column],
      stop = edges[column + 1];
    if (stop === start) continue;
    let low = Infinity,
      high = -Infinity;
    for (let i = start; i < stop; i++) {
      const value = values[i];
      if (value < low) low = value;
      if (value > high) high = value;
    }
    const begins = points.length === 0 || breaks[start];
    points.push({x: left + column + 0.5, low, high, first: values[start], last: values[stop - 1], begins});
  }
  return Object.assign(points, {dense: true});
}

/** Widen [low, high] by what points have that can be drawn. */
export function widened([low, high], points, log) {
  for (const point of points) {
    if (point.low < low && Number.isFinite(point.low) && (!log || point.low > 0)) low = point.low;
    if (point.high > high && Number.isFinite(point.high)) high = point.high;
    if (log && point.last > 0 && point.last < low) low = point.last;
  }
  return [low, high];
}

/** Stroke points; what is no number, or not above zero on a log scale, leaves a gap. */
export function stroke(context, points, scale) {
  const drawable = scale.log ? (value) => value > 0 && value < Infinity : Number.isFinite;
  if (points.dense) bars(context, points, scale, drawable);
  else {
    let down = false;
    context.beginPath();
    for (const {x, first, begins} of points) {
      if (drawable(first)) {
        if (down && !begins) context.lineTo(x, scale(first));
        else context.moveTo(x, scale(first));
      }
      down = drawable(first);
    }
    context.stroke();
  }
}

/** A bar for each column, from where the one before ended: a path of so many edges takes a hundred times longer. */
function bars(context, points, scale, drawable) {
  const wide = context.lineWidth;
  let before = null;
  context.fillStyle = context.strokeStyle;
  for (const {x, low, high, first, last, begins} of points) {
    if (drawable(high)) {
      const joins = before !== null && !begins && drawable(first),
        least = drawable(low) ? low : scale.low;
      const top = scale(joins ? Math.max(high, before) : high),
        bottom = scale(joins ? Math.min(least, before) : least);
      context.fillRect(x - wide / 2, top - wide / 2, wide, bottom - top + wide);
    }
    before = drawable(last) ? last : null;
  }
}

/** Fill between the points of a lower and an upper line. */
export function fillBetween(context, below, above, scale) {
  const at = (value) => scale(scale.log ? Math.max(value, scale.low) : value);
  for (let start = 0; start < below.length; ) {
    let stop = start + 1;
    while (stop < below.length && !below[stop].begins) stop++;
    context.beginPath();
    for (let i = start; i < stop; i++) context.lineTo(above[i].x, at(above[i].high));
    for (let i = stop - 1; i >= start; i--) context.lineTo(below[i].x, at(below[i].low));
    context.fill();
    start = stop;
  }
}
