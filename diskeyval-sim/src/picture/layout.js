// Where things are: notes along the run, lanes across it.

const canvas = document.getElementById("picture");
const HEAD = 44, RULER = 92, HALF = 15, WALL = 15, SLOT = 5;

const view = {
  axis: "even", // or "true"
  scale: 15,    // pixels for a row, or for a millisecond
  top: 0,       // what is at the upper edge: rows, or milliseconds
  width: 0, height: 0,
  chosen: -1,   // a note
  pointer: null,// where the mouse is
  only: new Set(), // nodes whose messages are shown; empty for all
};

// For each note: whether it is shown, and where it is along the axis.
let shown = [], place = new Float64Array(0), rows = [];

function isShown(at) {
  const note = notes[at], part = partOf[at];
  if (note.is === "send" || note.is === "arrive" || note.is === "lose") {
    if (!part) return true;
    if (view.only.size && !view.only.has(part.node) && !view.only.has(part.to)) return false;
    return part.group.shown;
  }
  const group = GROUPS.find(group => group.only && group.only.includes(note.is));
  return group ? group.shown : true;
}

// How much room a note needs below the one before it, in rows.
function weight(note, before, alike) {
  switch (note.is) {
    case "arrive": case "lose": return 0.7;
    case "violation": return 5;
    case "phase": case "crash": case "start": case "halt": return 1.4;
    // A partition is many blocked directions at once: the first of them speaks for all.
    case "block": case "unblock": return alike ? 0 : 1.3;
    default: return 1;
  }
}

// A long silence gets a little more room, and is written at the side.
const silence = nanos => nanos < 5e6 ? 0 : nanos < 5e7 ? 0.6 : nanos < 5e8 ? 1.2 : 1.8;

function arrange() {
  shown = notes.map((_, at) => isShown(at));
  rows = [];
  place = new Float64Array(notes.length);
  let where = view.axis === "even" ? 1 : 0, before = null;
  notes.forEach((note, at) => {
    if (view.axis === "true") {
      place[at] = note.at / 1e6;
    } else {
      if (shown[at]) {
        const alike = before && before.is === note.is && before.at === note.at;
        where += weight(note, before, alike) + (before ? silence(note.at - before.at) : 0);
        before = note;
      }
      place[at] = where;
    }
    if (shown[at]) rows.push(at);
  });
}

const first = () => (view.axis === "even" || !notes.length ? 0 : place[0] - 20 / view.scale);
// Below the last note there is room for the text of a violation.
const tail = () => (violations.length ? 140 : 40);
const total = () => (notes.length ? place[end] : 0) + tail() / view.scale;
// The scale at which the whole run can be seen.
const wholeScale = () => Math.max(50, view.height - HEAD - tail() - 20) / Math.max(notes.length ? place[end] - (view.axis === "even" ? 0 : place[0]) : 1, 1e-6);
const yOf = at => HEAD + (place[at] - view.top) * view.scale;
const placeAt = y => view.top + (y - HEAD) / view.scale;
const fits = () => (view.height - HEAD) / view.scale;

// The last note that is no lower than a height on the canvas.
function noteAt(y) {
  const where = placeAt(y);
  let low = 0, high = notes.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (place[middle] <= where) low = middle + 1; else high = middle;
  }
  return low - 1;
}

function laneX(node) {
  const left = RULER + 20 + WALL + HALF, right = Math.min(170, view.width * 0.16) + HALF;
  if (lanes.length < 2) return left + 40;
  return Math.round(left + node * (view.width - left - right) / (lanes.length - 1));
}
const rightOf = node => laneX(node) + HALF + 3 + lanes[node].slots * SLOT;
const leftOf = node => laneX(node) - HALF - (lanes[node].walls.length ? WALL : 0) - 3;

function keepInside() {
  const low = first(), high = Math.max(low, total() - fits());
  view.top = Math.min(Math.max(view.top, low), high);
}

function zoom(factor, y = HEAD + (view.height - HEAD) / 2) {
  const fixed = placeAt(y);
  view.scale = Math.min(Math.max(view.scale * factor, Math.min(wholeScale(), 15)), view.axis === "even" ? 40 : 20000);
  view.top = fixed - (y - HEAD) / view.scale;
  keepInside();
}

// Brings a note to where it can be seen; `part` of the height is above it.
function show(at, part = 0.5) {
  view.top = place[at] - fits() * part;
  keepInside();
}
