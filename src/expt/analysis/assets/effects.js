// Effects of parameters, redrawn for each width, and pairs of parameters as coloured tables.
const svgNamespace = make("div", { innerHTML: "<svg></svg>" }).firstChild.namespaceURI;
function draw(tag, attributes, text) {
  const element = document.createElementNS(svgNamespace, tag);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  if (text !== undefined) element.textContent = text;
  return element;
}

const valuesOf = (effect) => [...effect.lines.flatMap((line) => line.points.map((point) => point[1])), ...effect.means];

// Whether values differ by a factor that needs a log axis, as losses often do.
const isSpread = (values) => Math.min(...values) > 0 && Math.max(...values) / Math.min(...values) > 5;

// The positions of a parameter's values on the axis, from 0 to 1. Numbers are spaced by their value,
// on a log axis if they span a factor of ten; texts are spaced evenly.
function placesOf(effect) {
  const { numbers, isNumeric } = effect;
  if (!isNumeric || numbers.length < 2) return numbers.map((_, i) => (i + 0.5) / numbers.length);
  const low = Math.min(...numbers), high = Math.max(...numbers);
  const scale = low > 0 && high / low >= 10 ? Math.log : (value) => value;
  return numbers.map((value) => 0.08 + (0.84 * (scale(value) - scale(low))) / (scale(high) - scale(low)));
}

function effectDrawing(effect, width, isLog) {
  const height = 250, left = 58, right = 10, top = 10, bottom = 34;
  const scale = isLog ? Math.log10 : (value) => value, unscale = isLog ? (value) => 10 ** value : (value) => value;
  const values = valuesOf(effect).map(scale);
  const span = Math.max(...values) - Math.min(...values) || Math.abs(values[0]) * 0.1 || 1;
  const low = Math.min(...values) - 0.12 * span, high = Math.max(...values) + 0.12 * span;
  const places = placesOf(effect).map((place) => left + place * (width - left - right));
  const up = (value) => {
    const scaled = isLog && value <= 0 ? low : Math.min(Math.max(scale(value), low), high);
    return height - bottom - ((scaled - low) / (high - low)) * (height - top - bottom);
  };
  const root = draw("svg", { viewBox: `0 0 ${width} ${height}`, height, role: "img", "aria-label": `effect of ${effect.title}` });
  for (const tick of isLog ? logTicksOf(unscale(low), unscale(high)) : ticksOf(low, high, 6)) {
    root.append(draw("line", { class: "grid", x1: left, x2: width - right, y1: up(tick), y2: up(tick) }));
    root.append(draw("text", { x: left - 8, y: up(tick) + 4, "text-anchor": "end" }, format(tick)));
  }
  root.append(draw("line", { class: "axis", x1: left, x2: width - right, y1: height - bottom, y2: height - bottom }));
  const longest = effect.isNumeric ? Infinity : Math.max(4, Math.floor((width - left - right) / effect.values.length / 7));
  let lastEnd = -Infinity;
  effect.values.forEach((value, i) => {
    const text = value.length > longest ? `${value.slice(0, longest - 1)}…` : value;
    if (places[i] - 3.5 * text.length < lastEnd) return;
    lastEnd = places[i] + 3.5 * text.length + 4;
    root.append(draw("text", { x: places[i], y: height - bottom + 18, "text-anchor": "middle" }, text));
  });
  const answer = (x, y, heading, rows) => {
    const spot = draw("circle", { class: "hit", cx: x, cy: y, r: 9 });
    spot.addEventListener("mousemove", (event) => showTip(event.clientX, event.clientY, heading, rows));
    spot.addEventListener("mouseleave", hideTip);
    return spot;
  };
  const withInterval = ([, mean, half]) => `${format(mean)}${half === null ? "" : ` ± ${format(half)}`}`;
  const hits = [];
  for (const line of effect.lines) {
    const path = line.points.map((point, i) => `${i ? "L" : "M"}${places[point[0]]},${up(point[1])}`).join("");
    root.append(draw("path", { class: "setting", d: path }));
    for (const point of line.points) {
      root.append(draw("circle", { class: "run", cx: places[point[0]], cy: up(point[1]), r: 2.5 }));
      const rows = [{ label: `${line.label || "mean"} (n ${point[3]})`, value: withInterval(point) }];
      hits.push(answer(places[point[0]], up(point[1]), `${effect.title}=${effect.values[point[0]]}`, rows));
    }
  }
  if (effect.best !== null) root.append(draw("line", { class: "best-value", x1: left, x2: width - right, y1: up(effect.best), y2: up(effect.best) }));
  effect.means.forEach((mean, i) => {
    const difference = effect.differences[i];
    if (difference) {
      const ends = { y1: up(effect.best + difference.low), y2: up(effect.best + difference.high) };
      root.append(draw("line", { class: "interval", x1: places[i], x2: places[i], ...ends }));
    }
    root.append(draw("circle", { class: "mean", cx: places[i], cy: up(mean), r: 5 }));
    const rows = [{ label: effect.isPaired ? "mean, other parameters equal" : "mean", value: format(mean) }];
    if (difference) rows.push({ label: difference.label, value: difference.text });
    hits.push(answer(places[i], up(mean), `${effect.title}=${effect.values[i]}`, rows));
  });
  root.append(...hits);
  return root;
}

const effectGrid = document.getElementById("effects");
for (const effect of effectGrid ? data.effects : []) {
  const place = make("div", { className: "plot" });
  const button = make("button", { type: "button", textContent: "log" });
  const canBeLog = Math.min(...valuesOf(effect)) > 0;
  const header = make("header", {}, make("h3", { textContent: effect.title }), make("span", {}, ...(canBeLog ? [button] : [])));
  const figure = make("figure", {}, header, place);
  figure.dataset.key = effect.title;
  effectGrid.append(figure);
  let drawn = 0, isLog = isSpread(valuesOf(effect));
  const redraw = () => {
    drawn = place.clientWidth;
    button.setAttribute("aria-pressed", isLog);
    place.replaceChildren(effectDrawing(effect, drawn, isLog));
  };
  button.addEventListener("click", () => {
    isLog = !isLog;
    redraw();
  });
  new ResizeObserver(() => {
    if (place.clientWidth !== drawn) redraw();
  }).observe(place);
}

function heatMap(map) {
  const all = map.means.flat().filter((mean) => mean !== null);
  const scale = isSpread(all) ? Math.log : (mean) => mean;
  const low = scale(Math.min(...all)), high = scale(Math.max(...all));
  const best = data.largerIsBetter ? Math.max(...all) : Math.min(...all);
  const row = (means, name) => make("tr", {}, make("th", { scope: "row", textContent: name }), ...means.map((mean) => {
    const cell = make("td", { textContent: format(mean), className: mean === best ? "top" : "" });
    const share = high > low ? (scale(mean) - low) / (high - low) : 0.5;
    const strength = mean === null ? 0 : Math.round(50 * (data.largerIsBetter ? share : 1 - share));
    cell.style.background = `color-mix(in srgb, var(--accent) ${strength}%, var(--surface))`;
    return cell;
  }));
  const head = make("tr", {}, make("th"), ...map.columns.map((name) => make("th", { scope: "col", textContent: name })));
  return make("table", {}, make("thead", {}, head), make("tbody", {}, ...map.means.map((means, i) => row(means, map.rows[i]))));
}

for (const map of effectGrid ? data.heatMaps : []) {
  const title = make("h3", { textContent: `${map.down} ↓ × ${map.across} →` });
  effectGrid.append(make("figure", { className: "pair" }, make("header", {}, title), make("div", { className: "heat" }, heatMap(map))));
}
