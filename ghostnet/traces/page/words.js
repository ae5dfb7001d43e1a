// What the page says of itself and of its traces.

const HELP = [
  ["← →", "the presentation before or after"],
  ["wheel, + −, ↑ ↓", "zoom in time; the wheel at the cursor"],
  ["drag", "pan"],
  ["double click, 0", "the whole record"],
  ["f", "the chosen presentation"],
  ["t", "model time, or from the onset of each presentation"],
  ["d", "two traces: overlaid, or their difference"],
  ["l", "log scales"],
  ["click on a row of the heat map", "show its line, or hide it"],
  ["Shift or Ctrl and click on a presentation", "show it beside those chosen, from their onsets"],
];

/** Help, as elements. */
export function helpText() {
  const how =
    "Lines show the least and the greatest value in every column of pixels, the heat map the value farthest from the " +
    "middle of its colours. Of the outputs, the one whose class is shown is drawn bold; “said” is the most active output at " +
    "the end of the free phase. A nudged phase is shaded; where nothing was recorded, lines break and the ground is grey. " +
    "The address keeps the view: copy it to share it.";
  return [table(HELP), paragraph(how)];
}

/** What is known of a trace, as elements. */
export function sourceText({name, title, made, config, variables, rows, presentations, seeds}) {
  const facts = [
    ["model", title],
    ["seeds", seeds.join(", ")],
    ["rows", `${rows}, of ${presentations.length} presentations`],
    ["engine", `${made.engine ?? ""} ${made.dtype ?? ""}`],
    ["command", (made.argv ?? []).join(" ")],
    ...(made.divergence ? [["divergence", made.divergence]] : []),
  ];
  const exact = Object.entries(variables).map(([key, {units, of, about, error, is}]) => [
    key,
    `${about}; ${units.length} of ${of} units; to ${is === "relative" ? `${+(100 * error).toPrecision(2)} %` : `±${error}`}`,
  ]);
  const settings = document.createElement("pre");
  settings.textContent = config;
  return [
    heading(name),
    table(facts),
    heading("variables, and the error of their 16-bit codes"),
    table(exact),
    heading("settings"),
    settings,
  ];
}

function table(rows) {
  const found = document.createElement("table");
  for (const cells of rows) {
    const row = found.insertRow();
    for (const words of cells) row.insertCell().textContent = words;
  }
  return found;
}

function paragraph(words) {
  return Object.assign(document.createElement("p"), {textContent: words});
}

function heading(words) {
  return Object.assign(document.createElement("h3"), {textContent: words});
}
