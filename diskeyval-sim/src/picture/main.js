// Mouse, keys and buttons, and the beginning.

const tip = document.getElementById("tip"), tools = document.getElementById("tools");
const axis = document.getElementById("axis");
tools.hidden = false;
document.getElementById("main").hidden = false;
tools.addEventListener("submit", event => event.preventDefault());

let asked = false;
function refresh() {
  if (asked) return;
  asked = true;
  requestAnimationFrame(() => { asked = false; paintAll(); });
}
function paintAll() {
  paint();
  paintMap();
  paintList();
  tell();
}

// What was drawn, for tests of this page.
function tell() {
  const count = (of, what) => of.filter(what).length;
  document.body.dataset.drawn = [
    "nodes=" + lanes.length, "notes=" + notes.length, "messages=" + messages.length,
    "lost=" + count(messages, message => message.fate === "lost"), "flying=" + count(messages, message => message.fate === "flying"),
    "ops=" + lanes.reduce((sum, lane) => sum + lane.ops.length, 0), "violations=" + violations.length,
    "rows=" + rows.length, "arrows=" + drawn.arrows, "hits=" + drawn.hits.length, "lines=" + linesBox.children.length,
    "found=" + found.length, "chosen=" + view.chosen, "axis=" + view.axis,
  ].join(" ");
}

function rearrange() {
  const middle = Math.max(0, noteAt(HEAD + (view.height - HEAD) / 2));
  arrange();
  strip = null;
  if (notes.length) show(middle);
  lookFor();
  followInList(middle);
}

function setAxis(to) {
  if (view.axis === to) return;
  const middle = notes.length ? Math.max(0, noteAt(lookingAt())) : 0;
  const top = Math.max(0, noteAt(HEAD)), bottom = Math.max(0, noteAt(view.height));
  view.axis = axis.value = to;
  // About as much of the run as before stays in sight.
  const shownTime = notes.length ? (notes[bottom].at - notes[top].at) / 1e6 : 1;
  view.scale = to === "even" ? 15 : (view.height - HEAD) / Math.max(shownTime, 1);
  arrange();
  strip = null;
  if (notes.length) show(middle);
  refresh();
}
axis.onchange = () => setAxis(axis.value);

const pan = pixels => { tip.hidden = true; view.top += pixels / view.scale; keepInside(); followInList(Math.max(0, noteAt(HEAD + (view.height - HEAD) / 2))); refresh(); };
canvas.addEventListener("wheel", event => {
  event.preventDefault();
  const pixels = event.deltaY * (event.deltaMode === 1 ? 16 : 1);
  if (event.ctrlKey || event.metaKey) { zoom(Math.exp(-pixels / 300), event.offsetY); refresh(); } else pan(pixels);
}, { passive: false });

let drag = null;
canvas.addEventListener("pointerdown", event => {
  canvas.setPointerCapture(event.pointerId);
  drag = { y: event.offsetY, moved: false };
});
canvas.addEventListener("pointermove", event => {
  view.pointer = { x: event.offsetX, y: event.offsetY };
  if (drag && event.buttons & 1) {
    if (Math.abs(event.offsetY - drag.y) > 3 || drag.moved) {
      const by = drag.y - event.offsetY;
      Object.assign(drag, { y: event.offsetY, moved: true });
      pan(by);
    }
  } else {
    hover(event);
  }
  refresh();
});
canvas.addEventListener("pointerup", event => {
  const clicked = drag && !drag.moved;
  drag = null;
  if (!clicked) return;
  if (event.offsetY < HEAD) return toggleOnly(event.offsetX);
  const at = nearest(event.offsetX, event.offsetY);
  choose(at >= 0 ? at : -1, "list");
});
canvas.addEventListener("pointerleave", () => { view.pointer = null; tip.hidden = true; refresh(); });

function toggleOnly(x) {
  const node = lanes.findIndex((_, node) => Math.abs(laneX(node) - x) < 50);
  if (node < 0) return;
  if (!view.only.delete(node)) view.only.add(node);
  rearrange();
}

// The note whose drawing is nearest to a point.
function nearest(x, y) {
  let best = -1, least = 7;
  for (const hit of drawn.hits) {
    const dx = hit.x2 - hit.x1, dy = hit.y2 - hit.y1;
    const along = Math.max(0, Math.min(1, ((x - hit.x1) * dx + (y - hit.y1) * dy) / (dx * dx + dy * dy || 1)));
    const distance = Math.hypot(x - hit.x1 - along * dx, y - hit.y1 - along * dy);
    if (distance < least) { least = distance; best = hit.at; }
  }
  if (best < 0) {
    // A text stands in the row of its note.
    const at = noteAt(y + 8);
    if (at >= 0 && shown[at] && x > RULER && Math.abs(yOf(at) - y) < 8) best = at;
  }
  return best;
}

function hover(event) {
  const at = event.offsetY > HEAD ? nearest(event.offsetX, event.offsetY) : -1;
  tip.hidden = at < 0;
  if (at < 0) return;
  tip.textContent = describe(at);
  const left = Math.min(event.clientX + 14, innerWidth - tip.offsetWidth - 8);
  const top = event.clientY + 18 + tip.offsetHeight > innerHeight ? event.clientY - tip.offsetHeight - 10 : event.clientY + 18;
  tip.style.left = Math.max(4, left) + "px";
  tip.style.top = top + "px";
}

function step(by) {
  const here = view.chosen >= 0 ? lastBefore(rows, view.chosen) : lastBefore(rows, Math.max(0, noteAt(lookingAt()))) - by;
  const next = Math.min(rows.length - 1, Math.max(0, here + by));
  if (rows.length) choose(rows[next], "both");
}
function whole() {
  view.scale = view.axis === "even" ? Math.min(wholeScale(), 40) : wholeScale();
  view.top = first();
  keepInside();
  refresh();
}
function toViolation() {
  if (view.axis === "even") view.scale = Math.max(view.scale, 15);
  show(violations[0], 0.8);
  choose(violations[0], "list");
  followInList(violations[0]);
}
document.getElementById("closer").onclick = () => { zoom(1.5); refresh(); };
document.getElementById("further").onclick = () => { zoom(1 / 1.5); refresh(); };
document.getElementById("whole").onclick = whole;
document.getElementById("first").onclick = toViolation;
document.getElementById("first").hidden = !violations.length;

const KEYS = {
  ArrowDown: () => pan(60), ArrowUp: () => pan(-60), PageDown: () => pan(view.height - 100), PageUp: () => pan(100 - view.height),
  " ": () => pan(view.height - 100), Home: () => pan(-1e12), End: () => pan(1e12),
  "+": () => { zoom(1.5); refresh(); }, "=": () => { zoom(1.5); refresh(); }, "-": () => { zoom(1 / 1.5); refresh(); }, 0: whole,
  v: () => violations.length && toViolation(), j: () => step(1), k: () => step(-1),
  m: () => { const other = view.chosen >= 0 ? otherEnd(view.chosen) : -1; if (other >= 0) choose(other, "both"); },
  n: () => nextHit(1), p: () => nextHit(-1), "/": () => search.focus(), Escape: () => choose(-1),
};
document.addEventListener("keydown", event => {
  if (event.ctrlKey || event.metaKey || event.altKey || /^(INPUT|SELECT|BUTTON|SUMMARY)$/.test(event.target.tagName)) return;
  const act = KEYS[event.key];
  if (!act) return;
  event.preventDefault();
  tip.hidden = true;
  act();
});

function buildFilters() {
  const box = document.getElementById("filters");
  for (const group of GROUPS) {
    if (!group.count) continue;
    const label = element("label"), check = element("input", "", { type: "checkbox", checked: group.shown });
    check.onchange = () => { group.shown = check.checked; rearrange(); };
    const sample = element("i");
    sample.style.background = colours[group.colour];
    label.append(check, sample, group.name + " ", element("small", String(group.count)));
    box.append(label);
  }
}
function buildLegend() {
  const box = document.getElementById("legend");
  for (const [colour, text] of [["follower", "F follower"], ["pre-candidate", "P pre-candidate"], ["candidate", "C candidate"],
    ["leader", "L leader"], ["frozen", "paused"], ["dead", "dead"], ["wall", "blocked"], ["ok", "ok"], ["refused", "refused"], ["unknown", "unknown"]]) {
    const item = element("span"), sample = element("i");
    sample.style.background = colours[colour];
    item.append(sample, text);
    box.append(item);
  }
}

// A place can be given in the address, to be shown to others: #note=120, #search=w17, #axis=true, #whole, #routine.
function fromAddress() {
  if (wanted.get("axis") === "true") setAxis("true");
  if (wanted.has("scale")) zoom(Number(wanted.get("scale")) / view.scale);
  if (wanted.has("search")) { search.value = wanted.get("search"); lookFor(); nextHit(1); }
  const at = Number(wanted.get("note"));
  if (wanted.has("note") && at >= 0 && at < notes.length) choose(Math.floor(at), "both");
  if (wanted.has("whole")) whole();
}

matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => {
  readColours();
  document.getElementById("filters").replaceChildren();
  document.getElementById("legend").replaceChildren();
  buildFilters();
  buildLegend();
  strip = null;
  refresh();
});
// As long as nobody has moved it, the page opens anew when its size changes. It is painted at once: the next frame
// would be too late, and show the old picture stretched.
let touched = false;
for (const kind of ["pointerdown", "keydown", "wheel", "input"]) addEventListener(kind, () => { touched = true; }, { capture: true, passive: true });
new ResizeObserver(() => {
  Object.assign(view, resize(canvas, pen));
  strip = null;
  if (touched) keepInside(); else open();
  paintAll();
}).observe(canvas);

function open() {
  if (violations.length) toViolation();
  else if (data.failed && notes.length) show(end, 1);
  else view.top = first();
  followInList(violations[0] ?? Math.max(0, noteAt(HEAD)));
  fromAddress();
}

const wanted = new URLSearchParams(location.hash.slice(1));
if (wanted.has("routine")) ROUTINE.shown = true;
readColours();
buildFilters();
buildLegend();
Object.assign(view, resize(canvas, pen));
arrange();
open();
paintAll();
