// The heat map's place in the figure: its pixels, the chosen rows, and the bar of its colours.

import {text} from "./ink.js";
import {blockOf, coloursOf, orderOf, pixelsOf} from "./heat.js";
import {colourOf, SIZES} from "./look.js";
import {short} from "./scales.js";

let kept = {key: null, block: null, colours: null, look: null};

/** The block of a strand, made once for each. */
function blockFor(strand, name) {
  const key = `${strand.key}/${name}`;
  if (kept.key !== key) kept = {key, block: blockOf(strand, name), colours: null, look: null};
  return kept.block;
}

function coloursFor(block, log, theme) {
  const look = `${log}/${theme.paper}`;
  if (kept.look !== look) kept = {...kept, look, colours: coloursOf(block, log, theme)};
  return kept.colours;
}

/** Draw it; returns {block, order, box, name, unitAt} for the cursor, or null where it is not decoded yet. */
export function drawHeat(drawing, box) {
  const {context, layout, state, strands, theme, cuts, covers} = drawing,
    [strand] = strands,
    name = state.heat;
  const {source} = strand.parts[0];
  if (!strand.parts.every((part) => part.source.ready.has(name))) {
    text(
      context,
      "decoding…",
      layout.left + layout.width / 2,
      box.top + box.height / 2,
      theme.faint,
      SIZES.font,
      "center",
    );
    return null;
  }
  const block = blockFor(strand, name),
    variable = source.variables[name];
  const log = variable.symbol === "e" && block.signed && !state.linear;
  const colours = coloursFor(block, log, theme),
    order = orderOf(block, state.order, cuts[0][0], cuts[0].at(-1));
  const lines = Math.max(1, Math.min(box.height, block.units.length));
  const image = pixelsOf(block, cuts[0], covers[0], lines, colours.colours, order);
  const canvas = document.createElement("canvas");
  [canvas.width, canvas.height] = [image.width, image.height];
  canvas.getContext("2d").putImageData(image, 0, 0);
  context.imageSmoothingEnabled = false;
  context.fillStyle = theme.void;
  context.fillRect(layout.left, box.top, layout.width, box.height);
  context.drawImage(canvas, layout.left, box.top, layout.width, box.height);
  drawChosen(drawing, box, block, order, variable, source);
  drawBar(drawing, box, colours);
  const unitAt = (y) =>
    block.units[
      order[Math.min(order.length - 1, Math.max(0, Math.floor(((y - box.top) / box.height) * order.length)))]
    ];
  return {block, order, box, name, strand, unitAt, log};
}

/** Marks at the left of the rows whose lines are shown. */
function drawChosen({context, layout, state, theme}, box, block, order, variable, source) {
  const panel = state.panels.find(({name}) => name === state.heat);
  const height = box.height / order.length,
    step = Math.max(1, Math.ceil(order.length / (box.height / 14)));
  order.forEach((place, i) => {
    const unit = block.units[place],
      at = panel ? panel.units.indexOf(unit) : -1,
      y = box.top + height * (i + 0.5);
    if (at >= 0) {
      context.fillStyle = colourOf(theme, variable, source.depth, unit, at);
      context.fillRect(layout.left - 5, y - Math.max(1.5, height / 2), 5, Math.max(3, height));
    }
    if (i % step === 0) text(context, String(unit), layout.left - 9, y, theme.faint, SIZES.small, "right");
  });
  text(context, variable.axis.split("_")[0] || "norm", 8, box.top + box.height / 2, theme.ink, SIZES.font);
}

function drawBar({context, layout, theme}, box, {ramp, low, high, log}) {
  const x = layout.left + layout.width + 14,
    height = Math.min(140, box.height - 12),
    top = box.top + 6;
  const canvas = document.createElement("canvas"),
    image = new ImageData(1, 256),
    pixels = new Uint32Array(image.data.buffer);
  for (let i = 0; i < 256; i++) pixels[i] = ramp[255 - i];
  [canvas.width, canvas.height] = [1, 256];
  canvas.getContext("2d").putImageData(image, 0, 0);
  context.drawImage(canvas, x, top, 12, height);
  const middle = log ? Math.sqrt(low * high) : (low + high) / 2;
  [
    [high, 0],
    [middle, 0.5],
    [low, 1],
  ].forEach(([value, place]) => {
    const words = log && place === 1 ? `≤ ${short(value, 2)}` : short(value, 3);
    text(context, words, x + 18, top + 5 + place * (height - 10), theme.faint, SIZES.small);
  });
  if (log) text(context, "size, log", x, top + height + 10, theme.faint, SIZES.small);
}
