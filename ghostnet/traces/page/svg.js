// As much of a canvas's drawing as the figure uses, written as SVG.

const STYLE = {
  fillStyle: "#000",
  strokeStyle: "#000",
  lineWidth: 1,
  globalAlpha: 1,
  font: "12px sans-serif",
  textAlign: "left",
};
const ANCHORS = {left: "start", center: "middle", right: "end"};

export class Svg {
  constructor(width, height) {
    Object.assign(this, STYLE, {width, height, path: "", dash: [], parts: [], depth: [0], clips: 0});
    this.measure = document.createElement("canvas").getContext("2d");
  }

  save() {
    this.depth.push(0);
  }

  restore() {
    this.parts.push("</g>".repeat(this.depth.pop()));
  }

  beginPath() {
    this.path = "";
  }

  moveTo(x, y) {
    this.path += `M${cut(x)} ${cut(y)}`;
  }

  lineTo(x, y) {
    this.path += `${this.path ? "L" : "M"}${cut(x)} ${cut(y)}`;
  }

  rect(x, y, width, height) {
    this.path += `M${cut(x)} ${cut(y)}h${cut(width)}v${cut(height)}h${cut(-width)}z`;
  }

  clip() {
    const id = `clip${this.clips++}`;
    this.parts.push(`<clipPath id="${id}"><path d="${this.path}"/></clipPath><g clip-path="url(#${id})">`);
    this.depth[this.depth.length - 1]++;
  }

  setLineDash(dash) {
    this.dash = dash;
  }

  stroke() {
    const dash = this.dash.length ? ` stroke-dasharray="${this.dash}"` : "";
    const look = `stroke="${this.strokeStyle}" stroke-width="${this.lineWidth}" stroke-linejoin="round"${dash}`;
    if (this.path) this.parts.push(`<path d="${this.path}" fill="none" ${look}${this.opacity()}/>`);
  }

  fill() {
    if (this.path) this.parts.push(`<path d="${this.path}z" fill="${this.fillStyle}"${this.opacity()}/>`);
  }

  fillRect(x, y, width, height) {
    if (this.fillStyle === "transparent") return;
    const box = `x="${cut(x)}" y="${cut(y)}" width="${cut(width)}" height="${cut(height)}"`;
    this.parts.push(`<rect ${box} fill="${this.fillStyle}"${this.opacity()}/>`);
  }

  fillText(words, x, y) {
    const look = `style="font:${this.font}" text-anchor="${ANCHORS[this.textAlign]}" dominant-baseline="middle"`;
    if (words)
      this.parts.push(`<text x="${cut(x)}" y="${cut(y)}" fill="${this.fillStyle}" ${look}>${safe(words)}</text>`);
  }

  measureText(words) {
    this.measure.font = this.font;
    return this.measure.measureText(words);
  }

  drawImage(canvas, x, y, width, height) {
    const box = `x="${x}" y="${y}" width="${width}" height="${height}" preserveAspectRatio="none"`;
    this.parts.push(`<image ${box} style="image-rendering:pixelated" href="${canvas.toDataURL()}"/>`);
  }

  opacity() {
    return this.globalAlpha < 1 ? ` opacity="${this.globalAlpha}"` : "";
  }

  toString() {
    const size = `width="${this.width}" height="${this.height}" viewBox="0 0 ${this.width} ${this.height}"`;
    return `<svg xmlns="http://www.w3.org/2000/svg" ${size}>\n${this.parts.join("\n")}\n</svg>\n`;
  }
}

function cut(number) {
  return +number.toFixed(2);
}

function safe(words) {
  return words.replaceAll("&", "&amp;").replaceAll("<", "&lt;");
}
