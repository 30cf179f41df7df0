// Curves by step, one chart for each metric, with one legend for all of them.
const chartState = { hidden: new Set(), smoothing: 0, hasBand: true };
const charts = [];
const chartGrid = document.getElementById("charts");
const legend = document.getElementById("legend");

// The series of a chart: the ends of all bands come first, so that the means are drawn over them, and
// the best mean comes last, on top.
const count = data.variants.length;
const highOf = (i) => 1 + 2 * i, lowOf = (i) => 2 + 2 * i, meanOf = (i) => 3 * count - i;

// Exponential moving average with bias correction for the first values, as in TensorBoard:
// (1 - w) · Σ w^(n-i) · x[i] / (1 - w^n).
function smoothed(values, weight) {
  let last = 0, seen = 0;
  return values.map((value) => {
    if (weight === 0 || value === null) return value;
    last = last * weight + (1 - weight) * value;
    seen += 1;
    return last / (1 - weight ** seen);
  });
}

class Chart {
  constructor(content) {
    this.content = content;
    this.isLog = content.isLog;
    this.place = make("div", { className: "plot" });
    this.logButton = make("button", { type: "button", textContent: "log" });
    const larger = make("button", { type: "button", textContent: "enlarge" });
    this.figure = make("figure", {}, make("header", {}, make("h3", { textContent: content.metric }),
      make("span", {}, this.logButton, larger)), this.place);
    this.figure.dataset.metric = content.metric;
    this.logButton.addEventListener("click", () => {
      this.isLog = !this.isLog;
      this.draw();
    });
    larger.addEventListener("click", () => {
      const isLarge = this.figure.classList.toggle("large");
      larger.textContent = isLarge ? "reduce" : "enlarge";
      this.resize();
    });
    new ResizeObserver(() => this.resize()).observe(this.place);
    this.place.addEventListener("mouseleave", hideTip);
  }

  size() {
    const width = this.place.clientWidth;
    const isLarge = this.figure.classList.contains("large");
    return { width, height: isLarge ? Math.min(560, 0.7 * innerHeight) : Math.max(220, Math.min(300, 0.55 * width)) };
  }

  resize() {
    const { width, height } = this.size();
    if (this.plot && width && (width !== this.plot.width || height !== this.plot.height)) this.plot.setSize({ width, height });
  }

  // Returns all curves on common steps, in the order of the series.
  table() {
    const kept = (values) => (this.isLog ? values.map((value) => (value > 0 ? value : null)) : values);
    const bands = [], means = [];
    for (const curve of this.content.curves) {
      if (curve === null) {
        bands.push([[], [], []]);
        means.unshift([[], []]);
        continue;
      }
      const mean = kept(smoothed(curve.mean, chartState.smoothing));
      const nothing = curve.steps.map(() => null);
      const end = (values, least) => {
        if (!values) return nothing;
        const found = smoothed(values, chartState.smoothing);
        // A band that reaches below zero has no lower end on a log axis, so it is cut off far below.
        return this.isLog ? found.map((value, i) => (value === null ? null : Math.max(value, mean[i] * least))) : found;
      };
      bands.push([curve.steps, end(curve.high, 1), end(curve.low, 1e-3)]);
      means.unshift([curve.steps, mean]);
    }
    return uPlot.join([...bands, ...means]);
  }

  // Bands of few seeds are wide: they may widen the axis by a third, and are cut off beyond that.
  range(plot) {
    const [first, last] = plot.series[0].idxs;
    let [low, high, least, most] = [Infinity, -Infinity, Infinity, -Infinity];
    const scale = this.isLog ? Math.log10 : (value) => value;
    const visit = (series, use) => plot.data[series].slice(first, last + 1).forEach((value) => {
      if (value !== null && value !== undefined) use(scale(value));
    });
    data.variants.forEach((_, i) => {
      if (!plot.series[meanOf(i)].show) return;
      visit(meanOf(i), (value) => { low = Math.min(low, value); high = Math.max(high, value); });
      if (!chartState.hasBand) return;
      visit(highOf(i), (value) => { most = Math.max(most, value); });
      visit(lowOf(i), (value) => { least = Math.min(least, value); });
    });
    if (low > high) return this.isLog ? [0.1, 1] : [0, 1];
    const span = high - low || Math.abs(high) * 0.1 || 1;
    const bottom = Math.max(Math.min(least, low), low - span / 3) - 0.04 * span;
    const top = Math.min(Math.max(most, high), high + span / 3) + 0.04 * span;
    return this.isLog ? [10 ** bottom, 10 ** top] : [bottom, top];
  }

  draw() {
    this.plot?.destroy();
    this.logButton.setAttribute("aria-pressed", this.isLog);
    const axis = {
      stroke: () => ink("--soft"), grid: { stroke: () => ink("--line"), width: 1 }, ticks: { stroke: () => ink("--line"), width: 1 },
      font: "12px system-ui, sans-serif",
    };
    const bandEnds = [], means = [], bands = [];
    data.variants.forEach((variant, i) => {
      const isShown = !chartState.hidden.has(i), color = colorOf(i);
      const isPoint = this.content.curves[i]?.steps.length === 1;
      means.unshift({
        show: isShown, stroke: color, width: variant.isBest ? 2.6 : 1.5, dash: i >= palette.length ? [6, 4] : undefined,
        points: isPoint ? { show: true, size: 8, fill: color } : { show: false },
      });
      const end = { show: isShown && chartState.hasBand, stroke: "transparent", points: { show: false } };
      bandEnds.push({ ...end }, { ...end });
      bands.push({ series: [highOf(i), lowOf(i)], fill: `${color}1f` });
    });
    this.plot = new uPlot({
      ...this.size(),
      scales: { x: { time: false }, y: { distr: this.isLog ? 3 : 1, range: (plot) => this.range(plot) } },
      axes: [
        { ...axis, values: (_, ticks) => ticks.map((tick) => (Number.isInteger(tick) ? tick.toLocaleString("en-US") : "")), size: 34 },
        {
          ...axis, values: (_, ticks) => ticks.map(format), size: 58,
          splits: (_, index, low, high) => (this.isLog ? logTicksOf(low, high) : ticksOf(low, high, 7)),
          filter: (_, ticks) => ticks,
        },
      ],
      series: [{}, ...bandEnds, ...means], bands,
      legend: { show: false },
      cursor: {
        drag: { x: true, y: false },
        dataIdx: (plot, series, index) => nearestIndex(plot.data, series, index) ?? index,
        points: { show: (plot, series) => series > 2 * count && make("div", { className: "u-cursor-pt" }) },
      },
      hooks: { setCursor: [(plot) => this.showValues(plot)] },
    }, this.table(), this.place);
  }

  showValues(plot) {
    const { idx, left, top } = plot.cursor;
    if (idx === null || idx === undefined || left < 0) return hideTip();
    const rows = [];
    data.variants.forEach((variant, i) => {
      const series = meanOf(i), index = plot.series[series].show ? nearestIndex(plot.data, series, idx) : null;
      if (index === null) return;
      const value = plot.data[series][index];
      rows.push({ index, number: value, label: variant.label, color: colorOf(i), value: format(value), distance: Math.abs(plot.valToPos(value, "y") - top) });
    });
    if (!rows.length) return hideTip();
    const near = rows.reduce((one, other) => (other.distance < one.distance ? other : one));
    near.isNear = true;
    rows.sort((one, other) => (this.content.largerIsBetter ? other.number - one.number : one.number - other.number));
    const box = plot.over.getBoundingClientRect();
    showTip(box.left + left, box.top + top, `step ${plot.data[0][near.index].toLocaleString("en-US")}`, rows.slice(0, 20));
  }
}

// Curves may be recorded at different steps. Returns the index of the nearest step of this curve, or
// null beyond its ends.
function nearestIndex(table, series, index) {
  const values = table[series];
  const isThere = (i) => values[i] !== null && values[i] !== undefined;
  if (isThere(index)) return index;
  let before = index, after = index;
  while (before >= 0 && !isThere(before)) before -= 1;
  while (after < values.length && !isThere(after)) after += 1;
  if (before < 0 || after >= values.length) return null;
  return table[0][index] - table[0][before] <= table[0][after] - table[0][index] ? before : after;
}

function drawCharts() {
  legend.querySelectorAll("[data-variant]").forEach((button) => {
    button.setAttribute("aria-pressed", !chartState.hidden.has(Number(button.dataset.variant)));
  });
  charts.forEach((chart) => chart.draw());
}

if (chartGrid) {
  const everything = data.variants.map((_, i) => i);
  everything.slice(10).forEach((i) => chartState.hidden.add(i));
  data.variants.forEach((variant, i) => {
    const swatch = make("span", { className: "swatch" });
    swatch.style.borderTopColor = colorOf(i);
    if (i >= palette.length) swatch.style.borderTopStyle = "dashed";
    const button = make("button", { type: "button" }, swatch, `${variant.isBest ? "★ " : ""}${variant.label} (n ${variant.n})`);
    button.dataset.variant = i;
    button.addEventListener("click", () => {
      if (!chartState.hidden.delete(i)) chartState.hidden.add(i);
      drawCharts();
    });
    legend.append(button);
  });
  for (const [text, hidden] of [["all", []], ["none", everything]]) {
    if (everything.length < 2) break;
    const button = make("button", { type: "button", textContent: text });
    button.addEventListener("click", () => {
      chartState.hidden = new Set(hidden);
      drawCharts();
    });
    legend.append(button);
  }
  const smoothing = document.getElementById("smoothing"), band = document.getElementById("band");
  smoothing.addEventListener("input", () => {
    chartState.smoothing = Number(smoothing.value);
    smoothing.nextElementSibling.value = smoothing.value;
    drawCharts();
  });
  band.addEventListener("change", () => {
    chartState.hasBand = band.checked;
    drawCharts();
  });
  charts.push(...data.charts.map((content) => new Chart(content)));
  chartGrid.append(...charts.map((chart) => chart.figure));
  drawCharts();
  onTheme.push(() => charts.forEach((chart) => chart.plot.redraw()));
}
