"use strict";
// Shared by the other scripts of the report: data, elements, number formats, tooltip, and theme.
const data = JSON.parse(document.getElementById("data").textContent);
const palette = ["#3b7dd8", "#e0762a", "#2f9e5b", "#d1495b", "#8d6cd1", "#a87243", "#d867ae", "#7f8790", "#a09a1c", "#1fa5b5"];
const colorOf = (index) => palette[index % palette.length];

function make(tag, options = {}, ...children) {
  const element = Object.assign(document.createElement(tag), options);
  element.append(...children);
  return element;
}

// Formats a number with four significant digits, as in the table; without decimals from 1000 on.
function format(value) {
  if (value === null || value === undefined || !Number.isFinite(value)) return "–";
  const size = Math.abs(value);
  if (size >= 1000) return value.toLocaleString("en-US", { maximumFractionDigits: 0 });
  if (size !== 0 && size < 1e-6) return value.toExponential(3);
  return value.toLocaleString("en-US", { maximumSignificantDigits: 4 });
}

// Returns about `count` round numbers from `low` to `high`.
function ticksOf(low, high, count) {
  const rough = (high - low) / count, power = 10 ** Math.floor(Math.log10(rough));
  const step = [1, 2, 5, 10].map((factor) => factor * power).find((one) => one >= rough);
  const first = Math.ceil(low / step - 1e-9);
  const length = Math.floor(high / step + 1e-9) - first + 1;
  return Array.from({ length }, (_, i) => Number(((first + i) * step).toPrecision(12)));
}

// Returns round numbers for a log axis.
function logTicksOf(low, high) {
  const ticks = [];
  const factors = high / low > 1000 ? [1] : [1, 2, 5];
  for (let power = Math.floor(Math.log10(low)); power <= Math.log10(high); power += 1) {
    ticks.push(...factors.map((factor) => Number((factor * 10 ** power).toPrecision(12))));
  }
  const found = ticks.filter((tick) => tick >= low && tick <= high);
  return found.length > 1 ? found : ticksOf(low, high, 6);
}

// The tooltip beside the mouse: a heading, and rows of a colour, a name and a value.
const tip = document.getElementById("tip");
function showTip(x, y, heading, rows) {
  tip.replaceChildren(heading, ...rows.map((row) => {
    const swatch = make("span", { className: "swatch" });
    swatch.style.borderTopColor = row.color ?? "transparent";
    return make("div", { className: row.isNear ? "near" : "" }, ...(row.color ? [swatch] : []),
      make("span", { textContent: row.label }), make("b", { textContent: row.value }));
  }));
  tip.hidden = false;
  const box = tip.getBoundingClientRect();
  const isRight = x + 16 + box.width > innerWidth;
  tip.style.left = `${Math.max(4, isRight ? x - 16 - box.width : x + 16)}px`;
  tip.style.top = `${Math.max(4, Math.min(y + 12, innerHeight - box.height - 4))}px`;
}
function hideTip() {
  tip.hidden = true;
}
addEventListener("scroll", hideTip, { passive: true });

// The theme follows the system until the button is clicked. In a sandboxed frame, browsers raise an
// error on access to the storage.
const prefersDark = matchMedia("(prefers-color-scheme: dark)");
const themeButton = document.getElementById("theme");
const onTheme = [];
function isDark() {
  const chosen = document.documentElement.dataset.theme;
  return chosen ? chosen === "dark" : prefersDark.matches;
}
function applyTheme(chosen) {
  if (chosen) document.documentElement.dataset.theme = chosen;
  themeButton.textContent = isDark() ? "light" : "dark";
  onTheme.forEach((redraw) => redraw());
}
function stored(change) {
  try {
    return change(localStorage);
  } catch {
    return null;
  }
}
themeButton.hidden = false;
themeButton.addEventListener("click", () => {
  const chosen = isDark() ? "light" : "dark";
  stored((storage) => storage.setItem("expt-theme", chosen));
  applyTheme(chosen);
});
prefersDark.addEventListener("change", () => applyTheme());
applyTheme(stored((storage) => storage.getItem("expt-theme")));
function ink(name) {
  const probe = make("span");
  probe.style.color = `var(${name})`;
  document.body.append(probe);
  const color = getComputedStyle(probe).color;
  probe.remove();
  return color;
}
