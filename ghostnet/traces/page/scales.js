// Scales: from a range to pixels, ticks, and numbers as text.

/** A linear or logarithmic scale from [low, high] to pixels [a, b]. */
export function scale(low, high, a, b, log = false) {
  const f = log ? Math.log10 : (value) => value;
  const from = f(low),
    width = f(high) - from || 1;
  const to = (value) => a + ((f(value) - from) / width) * (b - a);
  to.invert = (pixel) => {
    const place = from + ((pixel - a) / (b - a)) * width;
    return log ? 10 ** place : place;
  };
  return Object.assign(to, {low, high, log});
}

/** Round values in a range, about `count` of them. */
export function ticks(low, high, count) {
  if (!(high > low)) return [low];
  const rough = (high - low) / Math.max(1, count),
    power = 10 ** Math.floor(Math.log10(rough));
  const step = [1, 2, 5, 10].find((n) => n * power >= rough) * power,
    found = [];
  for (let n = Math.ceil(low / step); n * step <= high * (1 + 1e-12) + 1e-300; n++)
    found.push(+(n * step).toPrecision(12));
  return found;
}

/** Powers of ten in a range, at most `count` of them, or round values where there are too few. */
export function logTicks(low, high, count) {
  const first = Math.ceil(Math.log10(low) - 1e-9),
    last = Math.floor(Math.log10(high) + 1e-9);
  if (last - first < 1) return ticks(low, high, count).filter((value) => value > 0);
  const step = Math.max(1, Math.ceil((last - first) / count)),
    found = [];
  for (let n = first; n <= last; n += step) found.push(10 ** n);
  return found;
}

/** A number as short text. */
export function short(value, digits = 4) {
  if (Number.isNaN(value)) return "nan";
  if (!Number.isFinite(value)) return value > 0 ? "∞" : "−∞";
  if (value === 0) return "0";
  const size = Math.abs(value),
    exponent = Math.floor(Math.log10(size));
  const text =
    exponent < -3 || exponent > 5 ? value.toExponential(Math.max(0, digits - 2)) : String(+value.toPrecision(digits));
  return text
    .replace(/\.?0+e/, "e")
    .replace("e+", "e")
    .replaceAll("-", "−");
}

/** A tick of a power of ten as text. */
export function powerText(value) {
  const exponent = Math.log10(value),
    whole = Math.round(exponent);
  if (Math.abs(exponent - whole) > 1e-9 || (whole > -3 && whole < 4)) return short(value);
  return `10${superscript(whole)}`;
}

function superscript(number) {
  return [...String(number)].map((c) => "⁰¹²³⁴⁵⁶⁷⁸⁹"[c] ?? "⁻").join("");
}

/** Seconds as text, in the unit that suits a span. */
export function timeText(seconds, span) {
  const [factor, unit] = timeUnit(span);
  return `${short(seconds * factor, 7)} ${unit}`;
}

export function timeUnit(span) {
  return span < 1 ? [1000, "ms"] : [1, "s"];
}

/** "e_1" as "e₁", "norm_e_1" as "‖e₁‖". */
export function symbolText(name) {
  const norm = name.startsWith("norm_"),
    text = norm ? name.slice(5) : name;
  const pretty = text.replace(/_(\d+)$/, (_, k) => [...k].map((c) => "₀₁₂₃₄₅₆₇₈₉"[c]).join(""));
  return norm ? `‖${pretty}‖` : pretty;
}
