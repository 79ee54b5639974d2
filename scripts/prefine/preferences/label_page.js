"use strict";
const data = JSON.parse(document.getElementById("data").textContent);
const { rows, filled, axes, curves } = data;
const at = (id) => document.getElementById(id);
const all = (selector) => [...document.querySelectorAll(selector)];
const escaped = (text) => String(text).replace(/[&<>"]/g, (sign) => `&#${sign.charCodeAt()};`);

// ---- What was judged.
// Clicks are kept in the browser until they are saved, by the content of a trajectory. They are
// written twice and the newest is read: localStorage outlives the tab, but a page that is loaded
// again at once may read what stood there before; sessionStorage is exact, but of this tab alone.
const place = "prefine labels " + location.pathname;
const stores = ["localStorage", "sessionStorage"];
const keys = rows.map((row) => row[3] ?? String(row[0]));
let kept, before, labels, forgetful = false;

function read(name) {
  try { return JSON.parse(window[name].getItem(place)); } catch { return null; }
}
function take(state) {
  kept = { clicked: {}, saved: {}, undo: [], ...state };
  const same = kept.filled === JSON.stringify(filled); // or the page was laid out anew since
  before = same ? { ...filled, ...kept.saved } : { ...kept.saved, ...filled };
  labels = { ...before, ...kept.clicked };
}
function write(name, state) {
  try { window[name].setItem(place, state); return true; } catch { return false; }
}
function keep() {
  kept.time = Math.max(Date.now(), (kept.time ?? 0) + 1); // clocks may be set back
  const state = JSON.stringify(kept);
  forgetful = !stores.filter((name) => write(name, state)).length;
}
function put(n, label) {
  labels[keys[n]] = label;
  kept.clicked[keys[n]] = label;
  if (label === (before[keys[n]] || "")) delete kept.clicked[keys[n]];
  keep();
}
function judge(n, label) {
  const old = labels[keys[n]] || "";
  if (old === label) return;
  kept.undo = [...kept.undo, [keys[n], old]].slice(-1000);
  put(n, label);
}
function undo() {
  const [key, old] = kept.undo.pop() ?? [];
  const n = keys.indexOf(key);
  if (n < 0) return say("nothing to undo");
  put(n, old);
  go(n);
  say(`taken back: ${words(n)}`);
}
const unsaved = () => keys.filter((key) => key in kept.clicked).length;
const counted = (label) => keys.filter((key) => labels[key] === label).length;
const words = (n) => `trajectory ${rows[n][0]}, ${labels[keys[n]] || "not judged"}`;

function save() {
  const lines = rows.map((row, n) =>
    [...row.slice(0, 3), labels[keys[n]] || "", ...row.slice(3)].join(","));
  const text = [data.header.join(","), ...lines, ""].join("\n");
  const link = document.createElement("a");
  link.href = URL.createObjectURL(new Blob([text], { type: "text/csv" }));
  link.download = data.file;
  take({ ...kept, clicked: {}, saved: { ...labels }, filled: JSON.stringify(filled) });
  keep();
  refresh();
  link.click();
}

// ---- Drawing.
const [LOW, HIGH] = [axes.low, axes.high];
const steps = Math.max(...rows.map((row) => row[2]));
function ticks(low, high, most) {
  const raw = (high - low) / most, power = 10 ** Math.floor(Math.log10(raw));
  const step = power * [1, 2, 5, 10].find((own) => own * power >= raw * 0.999);
  const first = Math.ceil(low / step);
  const many = Math.floor(high / step) - first + 1;
  return Array.from({ length: many }, (_, n) => +((first + n) * step).toPrecision(10));
}
const line = (points, kind) =>
  `<polyline class="${kind}" points="${points.map((p) => p.map((own) => own.toFixed(1)).join()).join(" ")}"/>`;

// A plot: its window [x, y, width, height] in pixels, and the numbers that the window spans.
function plot([left, top, width, height], low, high, names) {
  const x = (value) => ((value - low[0]) / (high[0] - low[0])) * width;
  const y = (value) => height - ((value - low[1]) / (high[1] - low[1])) * height;
  let axis = "", rules = "";
  if (names) {
    for (const value of ticks(low[0], high[0], width / 80)) {
      rules += `<line class="rule" x1="${x(value)}" x2="${x(value)}" y1="0" y2="${height}"/>`;
      axis += `<text x="${left + x(value)}" y="${top + height + 14}" text-anchor="middle">${value}</text>`;
    }
    for (const value of ticks(low[1], high[1], height / 32)) {
      rules += `<line class="rule" y1="${y(value)}" y2="${y(value)}" x1="0" x2="${width}"/>`;
      axis += `<text x="${left - 5}" y="${top + y(value) + 4}" text-anchor="end">${value}</text>`;
    }
    axis += `<text x="${left + width / 2}" y="${top + height + 29}" text-anchor="middle">${escaped(names[0])}</text>`
      + `<text transform="translate(11 ${top + height / 2}) rotate(-90)" text-anchor="middle">${escaped(names[1])}</text>`;
  }
  const frame = (inside) => `<svg x="${left}" y="${top}" width="${width}" height="${height}">`
    + `<rect class="ground" width="${width}" height="${height}"/>${rules}${inside}</svg>${axis}`;
  return { x, y, frame, width, height, left, top };
}
// One unit is as long across as upwards: the span that is too short grows.
function evened(width, height) {
  if (!axes.equal) return [LOW, HIGH];
  const unit = Math.min(width / (HIGH[0] - LOW[0]), height / (HIGH[1] - LOW[1]));
  const half = [width / unit / 2, height / unit / 2];
  const middle = [0, 1].map((n) => (LOW[n] + HIGH[n]) / 2);
  return [middle.map((own, n) => own - half[n]), middle.map((own, n) => own + half[n])];
}
function marked(own, p) {
  if (own.is !== "limit") {
    const [rx, ry] = [p.x(own.radius) - p.x(0), p.y(0) - p.y(own.radius)];
    return `<ellipse class="${own.is}" cx="${p.x(own.at[0])}" cy="${p.y(own.at[1])}" rx="${rx}" ry="${ry}"/>`;
  }
  const across = own.axis === 0, place = across ? p.x(own.at) : p.y(own.at);
  const low = across === own.beyond > 0; // whether what is beyond has the larger pixels
  const end = across ? p.width : p.height, far = Math.max(0, low ? end - place : place);
  const begin = low ? place : 0;
  const box = across ? `x="${begin}" width="${far}" y="0" height="${p.height}"` : `y="${begin}" height="${far}" x="0" width="${p.width}"`;
  const ends = across ? `x1="${place}" x2="${place}" y1="0" y2="${p.height}"` : `y1="${place}" y2="${place}" x1="0" x2="${p.width}"`;
  return `<rect class="beyond" ${box}/><line class="limit" ${ends}/>`;
}
function wayOf(n, p) {
  const flat = data.drawn[n].way, points = [];
  for (let k = 0; k < flat.length; k += 2) {
    const share = (value, axis) => LOW[axis] + (value / 1000) * (HIGH[axis] - LOW[axis]);
    points.push([p.x(share(flat[k], 0)), p.y(share(flat[k + 1], 1))]);
  }
  return points;
}
function map(n, window, names) {
  const p = plot(window, ...evened(window[2], window[3]), names);
  const points = wayOf(n, p), [first, last] = [points[0], points.at(-1)];
  const marks = [...data.marks, ...data.drawn[n].marks].sort((a, b) => (b.is === "limit") - (a.is === "limit"));
  const size = names ? 4.5 : 2.5;
  const inside = marks.map((own) => marked(own, p)).join("") + line(points, "way")
    + `<rect class="end" x="${last[0] - size}" y="${last[1] - size}" width="${2 * size}" height="${2 * size}"/>`
    + `<circle class="start" cx="${first[0]}" cy="${first[1]}" r="${size}"/>`
    + (names ? '<polyline class="done"/><circle class="now" r="6"/>' : "");
  return { svg: p.frame(inside), points };
}
function curve(n, which, window, names) {
  const { low, high, limit } = curves[which];
  const p = plot(window, [0, low], [steps, high], names);
  const values = data.drawn[n].curves[which], last = Math.max(1, values.length - 1);
  const points = values.map((value, k) =>
    [p.x((k / last) * rows[n][2]), p.y(low + (value / 1000) * (high - low))]);
  const mark = limit === undefined ? "" : marked({ is: "limit", axis: 1, at: limit, beyond: 1 }, p);
  const text = limit === undefined || !names ? ""
    : `<text x="${p.width - 4}" y="${p.y(limit) - 5}" text-anchor="end">limit ${+limit.toPrecision(4)}</text>`;
  const cursor = names ? `<line class="cursor" y1="0" y2="${p.height}"/>` : "";
  return p.frame(mark + line(points, "curve") + text + cursor);
}
const MAP_NAMES = axes.names;
function small(n) {
  const [width, height, strip] = [150, axes.equal ? 110 : 70, axes.equal ? 34 : 56];
  return `<svg viewBox="0 0 ${width} ${height + strip + 2}" aria-hidden="true">`
    + map(n, [0, 0, width, height]).svg + curve(n, 0, [0, height + 2, width, strip]) + "</svg>";
}

// ---- The large picture, and what moves in it.
const SECONDS = 6, REST = 1; // that the longest trajectory takes, and then a moment
const still = matchMedia("(prefers-reduced-motion: reduce)");
let current = 0, peeked = null, moving = !still.matches, began = 0, scene = null;
const shown = () => peeked ?? current;

function draw() {
  const n = shown(), box = at("picture"), [width, height] = [box.clientWidth, box.clientHeight];
  if (width < 80 || height < 80) return;
  const [left, foot, right] = [50, 36, 18], wide = width - left - right;
  const flat = 26 + Math.max(90, (axes.equal ? 0.62 : 0.4) * height) - foot;
  const each = (height - flat - foot - 4) / curves.length;
  let top = flat + foot + 4;
  const way = map(n, [left, 4, wide, flat], MAP_NAMES);
  const strips = curves.map((own, k) => {
    const last = k === curves.length - 1;
    const svg = curve(n, k, [left, top + 6, wide, Math.max(20, each - 6 - (last ? foot : 20))], [last ? "step" : "", own.name]);
    top += each;
    return svg;
  });
  box.innerHTML = `<svg width="${width}" height="${height}" viewBox="0 0 ${width} ${height}">${way.svg}${strips.join("")}</svg>`;
  box.ariaLabel = `${words(n)}: its way, ${curves.map((own) => own.name).join(", ")}`;
  scene = { points: way.points, length: rows[n][2], unit: wide / steps,
    done: box.querySelector(".done"), now: box.querySelector(".now"), cursors: [...box.querySelectorAll(".cursor")] };
  box.classList.toggle("moving", moving);
  began = performance.now();
  if (!moving) stand(scene.length);
}
function stand(step) {
  const { points, length, unit, done, now, cursors } = scene;
  const place = Math.min(1, step / length) * (points.length - 1), k = Math.floor(place);
  const [a, b] = [points[k], points[Math.min(k + 1, points.length - 1)]];
  const here = [0, 1].map((n) => a[n] + (place - k) * (b[n] - a[n]));
  done.setAttribute("points", moving ? [...points.slice(0, k + 1), here].map((p) => p.join()).join(" ") : "");
  now.setAttribute("cx", here[0]);
  now.setAttribute("cy", here[1]);
  now.style.display = moving ? "" : "none";
  for (const own of cursors) {
    own.setAttribute("x1", unit * Math.min(step, length));
    own.setAttribute("x2", unit * Math.min(step, length));
    own.style.display = moving ? "" : "none";
  }
}
function tick(time) {
  if (moving && scene) {
    const seconds = Math.max(0, time - began) / 1000;
    if (seconds > SECONDS + REST) began = time;
    stand(Math.min(1, seconds / SECONDS) * steps);
  }
  requestAnimationFrame(tick);
}

// ---- The overview.
function card(n) {
  const own = document.createElement("section");
  own.dataset.trajectory = rows[n][0];
  own.dataset.key = keys[n];
  own.innerHTML = `<button type="button" class="see" tabindex="-1">${small(n)}</button><div><span>${rows[n][0]}: ${(+rows[n][1]).toPrecision(4)}</span>`
    + `<button type="button" value="preferred" tabindex="-1" aria-label="${rows[n][0]} preferred">+</button>`
    + `<button type="button" value="nonpreferred" tabindex="-1" aria-label="${rows[n][0]} nonpreferred">−</button></div>`;
  own.addEventListener("pointerenter", (event) => {
    if (event.pointerType === "mouse") peek(n);
  });
  own.querySelector(".see").addEventListener("focus", () => { if (current !== n) go(n); });
  own.querySelector(".see").addEventListener("click", () => {
    go(n);
    at("stage").scrollIntoView({ block: "nearest" });
  });
  for (const button of own.querySelectorAll("[value]")) {
    button.addEventListener("click", () => {
      judge(n, labels[keys[n]] === button.value ? "" : button.value);
      refresh();
    });
  }
  return own;
}
const cards = rows.map((_, n) => card(n));
at("cards").append(...cards);
at("cards").addEventListener("pointerleave", () => peek(null));
at("only").addEventListener("change", () => refresh());

function peek(n) {
  if (peeked === n) return;
  peeked = n;
  tell();
  draw();
}
function go(n) {
  [current, peeked] = [n, null];
  refresh();
  draw();
  const list = at("cards"), own = cards[n];
  if (list.scrollHeight > list.clientHeight) { // where it scrolls by itself
    const [top, bottom] = [own.offsetTop - list.offsetTop, own.offsetTop - list.offsetTop + own.offsetHeight];
    if (top < list.scrollTop) list.scrollTop = top - 8;
    if (bottom > list.scrollTop + list.clientHeight) list.scrollTop = bottom - list.clientHeight + 8;
  }
  if (list.contains(document.activeElement)) own.querySelector(".see").focus({ preventScroll: true });
}
function tell() {
  const n = shown(), label = labels[keys[n]] || "";
  at("name").textContent = `Trajectory ${rows[n][0]}`;
  at("facts").textContent = `${n + 1} of ${rows.length}; return ${(+rows[n][1]).toPrecision(4)}, ${rows[n][2]} steps`;
  at("label").textContent = label;
  at("label").className = label;
}
function refresh() {
  const [good, bad] = ["preferred", "nonpreferred"].map(counted), [fewest, better] = data.enough;
  at("count").textContent = `${good} preferred, ${bad} nonpreferred of ${rows.length}`;
  const least = Math.min(good, bad);
  at("enough").textContent = least >= better ? "" : `(at least ${fewest} of each are needed; ${better} are better)`;
  at("bar").ariaValueMax = rows.length;
  at("bar").ariaValueNow = good + bad;
  [good, bad].forEach((many, n) => { at("bar").children[n].style.width = `${(100 * many) / rows.length}%`; });
  at("unsaved").textContent = forgetful ? "this browser keeps nothing: save before you leave"
    : unsaved() ? `${unsaved()} not saved yet` : "";
  const only = at("only").value;
  cards.forEach((own, n) => {
    const label = labels[keys[n]] || "", see = own.firstElementChild;
    own.className = label;
    own.hidden = only !== "all" && label !== only && n !== current;
    own.toggleAttribute("aria-current", n === current);
    see.tabIndex = n === current ? 0 : -1;
    see.ariaLabel = `${words(n)}, return ${rows[n][1]}`;
    for (const button of own.querySelectorAll("[value]")) button.ariaPressed = button.value === label;
  });
  tell();
}
function say(text) { at("said").textContent = text; }

// ---- Keys and buttons.
function onward(n) {
  const after = rows.map((_, k) => (n + 1 + k) % rows.length);
  const next = after.find((k) => !labels[keys[k]]);
  go(next ?? Math.min(n + 1, rows.length - 1));
  if (next === undefined) say("all are judged");
}
const acts = {
  preferred: () => label("preferred"),
  nonpreferred: () => label("nonpreferred"),
  clear: () => { judge(shown(), ""); go(shown()); },
  back: () => go(Math.max(0, shown() - 1)),
  next: () => go(Math.min(rows.length - 1, shown() + 1)),
  undo,
  play: () => {
    moving = !moving;
    document.querySelector("[data-do=play]").ariaPressed = moving;
    draw();
  },
};
function label(name) {
  const n = shown();
  judge(n, name);
  say(words(n));
  onward(n);
}
const KEYS = { 1: "preferred", p: "preferred", 2: "nonpreferred", n: "nonpreferred", 0: "clear", Backspace: "clear",
  ArrowLeft: "back", ArrowRight: "next", u: "undo", " ": "play" };
document.addEventListener("keydown", (event) => {
  const takenBack = (event.ctrlKey || event.metaKey) && event.key === "z";
  if (event.altKey || (!takenBack && (event.ctrlKey || event.metaKey)) || event.target.matches("select")) return;
  if (event.repeat && !event.key.startsWith("Arrow")) return; // a key that is held judges one
  const act = takenBack ? "undo" : KEYS[event.key.length === 1 ? event.key.toLowerCase() : event.key];
  if (!act || (event.key === " " && event.target.matches("button"))) return;
  event.preventDefault();
  acts[act]();
});
for (const button of all("[data-do]")) button.addEventListener("click", () => acts[button.dataset.do]());
at("save").textContent = `Save ${data.file}`;
at("save").addEventListener("click", save);
addEventListener("beforeunload", (event) => {
  if (!unsaved()) return;
  event.preventDefault();
  event.returnValue = true; // of browsers before 2024
});
addEventListener("storage", (event) => { // the same page in another tab
  if (event.key !== place || !event.newValue) return;
  const state = JSON.parse(event.newValue);
  if (state.time <= kept.time) return; // of before this page was loaded again
  take(state);
  write("sessionStorage", event.newValue); // what is shown stays, however soon it is loaded again
  refresh();
});

// ---- The words under the picture say what is drawn.
const signs = {
  hazard: '<circle class="hazard" cx="7" cy="7" r="5"/>',
  goal: '<circle class="goal" cx="7" cy="7" r="5"/>',
  circle: '<circle class="circle" cx="7" cy="7" r="6"/>',
  limit: '<rect class="beyond" x="7" width="7" height="14"/><line class="limit" x1="7" x2="7" y1="0" y2="14"/>',
};
const named = { hazard: "hazard", goal: "goal", circle: "lane to run on", limit: "limit" };
const drawn = [...data.marks, ...data.drawn.flatMap((own) => own.marks)].map((own) => own.is);
if (curves.some((own) => own.limit !== undefined)) drawn.push("limit");
const sign = (inside, word) => `<svg width="14" height="14" aria-hidden="true">${inside}</svg>${word}`;
at("legend").innerHTML = [sign('<circle class="start" cx="7" cy="7" r="4.5"/>', "start"),
  sign('<rect class="end" x="3" y="3" width="8" height="8"/>', "end"),
  ...Object.keys(signs).filter((own) => drawn.includes(own)).map((own) => sign(signs[own], named[own]))].join("");

take(stores.map(read).reduce((one, other) => ((other?.time ?? 0) > (one?.time ?? 0) ? other : one), {}));
document.querySelector("[data-do=play]").ariaPressed = moving;
current = Math.max(0, keys.findIndex((key) => !labels[key]));
new ResizeObserver(() => {
  document.body.style.setProperty("--head", `${document.querySelector("header").offsetHeight}px`);
  draw();
}).observe(at("picture"));
refresh();
draw();
requestAnimationFrame(tick);
