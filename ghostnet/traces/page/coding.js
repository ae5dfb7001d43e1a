// Numbers of the page: the reader of view_coding.py. Codes rise with the values; 0, 65534 and 65535 are -∞, ∞ and nan.

export const LEAST = 1,
  MIDDLE = 32767,
  MOST = 65533,
  INFINITE = 65534,
  NAN = 65535;
const DECADES = 1e-12; // of the greatest value: what is smaller is 0 in the log code

/** The bytes that the element `id` holds, gzipped and as base64; its text is given up. */
export async function bytesOf(id) {
  const element = document.getElementById(id);
  const text = element.textContent;
  element.textContent = "";
  const packed = Uint8Array.fromBase64 ? Uint8Array.fromBase64(text) : fromBase64(text);
  const stream = new Blob([packed]).stream().pipeThrough(new DecompressionStream("gzip"));
  return new Uint8Array(await new Response(stream).arrayBuffer());
}

function fromBase64(text) {
  const binary = atob(text),
    bytes = new Uint8Array(binary.length);
  for (let i = 0; i < bytes.length; i++) bytes[i] = binary.charCodeAt(i);
  return bytes;
}

/** Codes, series after series of so many rows, from the low and high bytes of their folded differences. */
export function codesOf(bytes, rows) {
  const count = bytes.length >> 1,
    codes = new Uint16Array(count);
  let code = 0;
  for (let i = 0, row = 0; i < count; i++, row++) {
    if (row === rows) {
      row = 0;
      code = 0;
    }
    const folded = bytes[i] | (bytes[count + i] << 8);
    code = (code + ((folded >> 1) ^ -(folded & 1))) & 0xffff;
    codes[i] = code;
  }
  return codes;
}

/** Whole numbers from their differences. */
export function countsOf(bytes) {
  const counts = new Int32Array(bytes.buffer, 0, bytes.length >> 2);
  for (let i = 1; i < counts.length; i++) counts[i] += counts[i - 1];
  return counts;
}

/** The value of every code. */
export function valuesOf({kind, low, step}) {
  const values = new Float64Array(65536);
  for (let code = LEAST; code <= MOST; code++) {
    const place = code - MIDDLE;
    values[code] =
      kind === "linear"
        ? low + (code - LEAST) * step
        : Math.sign(place) * (place ? low * Math.exp((Math.abs(place) - 1) * step) : 0);
  }
  values[0] = -Infinity;
  values[INFINITE] = Infinity;
  values[NAN] = NaN;
  return values;
}

/** The code that stands for 0, or for the end of the range that is nearest to it. */
export function zeroOf({kind, low, step}) {
  return kind === "log" ? MIDDLE : Math.min(MOST, Math.max(LEAST, Math.round(LEAST - low / step)));
}

/** Values as codes of a kind: {codes, coding}. */
export function encoded(values, kind) {
  const log = kind === "log";
  let low = Infinity,
    high = -Infinity;
  for (const value of values) {
    const size = log ? Math.abs(value) || NaN : value;
    if (size < low && size !== -Infinity) low = size;
    if (size > high && size !== Infinity) high = size;
  }
  if (low > high) low = high = log ? 1 : 0;
  if (log) low = Math.max(low, high * DECADES);
  const step = (log ? Math.log(high / low) / (MOST - MIDDLE - 1) : (high - low) / (MOST - LEAST)) || 1;
  const placed = log
    ? (value) => MIDDLE + Math.sign(value) * Math.max(0, 1 + Math.round(Math.log(Math.abs(value) / low) / step))
    : (value) => LEAST + Math.round((value - low) / step);
  const codes = Uint16Array.from(values, (value) => {
    if (Number.isFinite(value)) return log && value === 0 ? MIDDLE : placed(value);
    return value > 0 ? INFINITE : value < 0 ? 0 : NAN;
  });
  return {codes, coding: {kind, low, step}};
}
