// Strokes and words on a canvas.

export function line(context, x, y, to, bottom) {
  context.beginPath();
  context.moveTo(x, y);
  context.lineTo(to, bottom);
  context.stroke();
}

export function text(context, words, x, y, colour, font, align = "left") {
  context.font = font;
  context.fillStyle = colour;
  context.textAlign = align;
  context.textBaseline = "middle";
  context.fillText(words, x, y);
}

/** Words that are no wider than `most`. */
export function cutText(context, words, most) {
  let found = words;
  while (found.length > 1 && context.measureText(found).width > most) found = `${found.slice(0, -2)}…`;
  return found;
}
