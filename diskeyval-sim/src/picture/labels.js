// What is written into the picture. A text that would cover another is left out; those that matter come first.

const FONT = "11px ui-monospace, 'DejaVu Sans Mono', Menlo, Consolas, monospace";
const BOLD = "bold " + FONT;
const ROW = 11; // the height of a text

// The texts that were written, by the strip of this height that their middle is in.
let taken = new Map();
function isFree(x, y, width) {
  const strip = Math.floor(y / ROW);
  for (const near of [strip - 1, strip, strip + 1]) {
    for (const text of taken.get(near) || []) {
      if (Math.abs(text.y - y) < ROW && x < text.to && x + width > text.from) return false;
    }
  }
  return true;
}
function take(x, y, width) {
  const strip = Math.floor(y / ROW);
  if (!taken.has(strip)) taken.set(strip, []);
  taken.get(strip).push({ from: x, to: x + width, y });
}

function shorten(text, room) {
  let width = pen.measureText(text).width;
  if (width <= room) return [text, width];
  let length = Math.max(1, Math.floor(text.length * room / width) - 1);
  // Not between the halves of a character.
  if (/[\ud800-\udbff]/.test(text[length - 1])) length--;
  text = text.slice(0, length) + "…";
  return [text, pen.measureText(text).width];
}

// Writes a text beginning (or, to the left, ending) at a point, if there is room. Its ground is cleared a little, so
// that lines under it do not make it hard to read.
function write(text, x, y, colour, { left = false, bold = false, must = false, room = 1e9 } = {}) {
  if (y < HEAD - 8 || y > view.height + 8) return;
  pen.font = bold ? BOLD : FONT;
  const most = Math.min(room, left ? x - RULER - 2 : view.width - x - 4);
  if (most < 24) return;
  const [short, width] = shorten(text, most);
  const start = left ? x - width : x;
  if (!must && !isFree(start, y, width)) return;
  take(start, y, width);
  pen.textAlign = "left";
  pen.textBaseline = "middle";
  pen.lineWidth = 3.5;
  pen.lineJoin = "round";
  pen.strokeStyle = colours.paper;
  pen.strokeText(short, start, y);
  pen.fillStyle = colour;
  pen.fillText(short, start, y);
}

const LOUD = new Set(["role", "start", "crash", "halt", "freeze", "thaw", "disturb", "cut", "block", "unblock", "phase"]);

// `few`: only what stands out, for a picture from afar.
function paintLabels(from, to, few) {
  const order = [[], [], [], []];
  let before = null;
  for (let at = Math.max(0, from); at <= to && at < notes.length; at++) {
    if (!shown[at]) continue;
    const note = notes[at];
    // Of blocked directions of one moment, the first speaks for all.
    const alike = before && (note.is === "block" || note.is === "unblock") && before.is === note.is && before.at === note.at;
    before = note;
    const rank = note.is === "role" ? (note.kind === "leader" ? 0 : 1) : LOUD.has(note.is) ? 0 : note.is === "ask" || note.is === "answer" ? 2 : 3;
    if (!alike) order[rank].push(at);
  }
  for (const some of few ? order.slice(0, 2) : order) for (const at of some) label(at);
}

function label(at) {
  const note = notes[at], y = yOf(at), { node } = note;
  const text = said(note);
  const right = node === undefined ? 0 : rightOf(node) + 4;
  switch (note.is) {
    case "send": {
      const message = partOf[at], colour = colours[message.group.colour];
      const fate = message.fate === "lost" ? "LOST " : message.fate === "flying" ? "on its way: " : waits(message) ? "waits: " : "";
      // On the beginning of its arrow, towards where it goes.
      if (message.to > node) write(fate + text, right, y - 6, colour);
      else write(fate + text, leftOf(node) - 4, y - 6, colour, { left: true });
      break;
    }
    case "arrive": case "lose": {
      // Where the arrow cannot be followed, its end says where it came from.
      const message = partOf[at];
      if (!message || !waits(message)) break;
      const sent = nameOf(message.node) + ": " + said(notes[message.from]) + " after " + span(note.at - notes[message.from].at);
      const colour = colours[message.group.colour];
      if (message.to > message.node) write(sent, leftOf(message.to) - 4, y - 6, colour, { left: true });
      else write(sent, rightOf(message.to) + 4, y - 6, colour);
      break;
    }
    case "role": write(text.replace(/^is /, ""), right, y, colours.ink, { bold: true }); break;
    case "crash": case "halt": write(text, right, y - 8, note.is === "halt" ? colours.halted : colours.ink, { bold: true }); break;
    case "start": case "freeze": case "thaw": write(text, right, y, colours.ink, { bold: true }); break;
    case "commit": write("✓ " + text, right, y, colours.commit); break;
    case "ask": case "answer": {
      const op = partOf[at];
      write(text, right, y, colours[op && note.is === "answer" ? op.fate : "ink"]);
      break;
    }
    case "event": write("◆ " + text, right, y, colours.mark); break;
    case "disturb": write("◆ " + text, note.nodes.length ? rightOf(Math.min(...note.nodes)) + 4 : RULER + 4, y, colours.wall, { bold: true }); break;
    case "block": case "unblock": {
      const pairs = new Map();
      for (let other = at; other < notes.length && notes[other].is === note.is && notes[other].at === note.at; other++) {
        const from = nameOf(notes[other].node), to = nameOf(notes[other].to);
        if (pairs.has(to + from)) pairs.set(to + from, to + "↔" + from); else pairs.set(from + to, from + "→" + to);
      }
      const text = (note.is === "block" ? "blocked: " : "passes again: ") + [...pairs.values()].join(" ");
      write(text, RULER + 4, y - 8, colours.wall, { bold: true });
      break;
    }
    case "cut": write(body(note), Math.min(laneX(node), laneX(note.to)) + HALF + 6, y - 7, colours.wall, { bold: true }); break;
    case "phase": write("== " + text, RULER + 4, y, colours.dim, { bold: true, must: true }); break;
  }
}

function paintViolations(from, to) {
  for (const at of violations) {
    const y = yOf(at), note = notes[at];
    if (y < HEAD - 90 || y > view.height + 20) continue;
    pen.strokeStyle = colours.bad;
    pen.lineWidth = 3;
    line(RULER, y, view.width, y);
    if (note.node !== undefined) {
      pen.lineWidth = 3;
      pen.beginPath();
      pen.arc(laneX(note.node), y, HALF + 7, 0, 7);
      pen.stroke();
    }
    pen.font = "bold 13px system-ui, sans-serif";
    const width = view.width - RULER - 24, lines = wrap("VIOLATION  " + said(note), width - 20, 6);
    const height = lines.length * 17 + 10;
    const top = y + (note.node === undefined ? 4 : HALF + 9);
    pen.fillStyle = colours["bad-paper"];
    pen.fillRect(RULER + 8, top, width, height);
    pen.lineWidth = 2;
    pen.strokeRect(RULER + 8, top, width, height);
    pen.fillStyle = colours.bad;
    pen.textAlign = "left";
    pen.textBaseline = "middle";
    lines.forEach((text, i) => pen.fillText(text, RULER + 18, top + 13 + i * 17));
    for (let y = top; y <= top + height; y += ROW) take(RULER, y, view.width);
    drawn.hits.push({ x1: RULER, y1: y, x2: view.width, y2: y, at });
  }
}

function wrap(text, room, most) {
  const lines = [];
  let rest = text;
  while (rest && lines.length < most) {
    let [part] = shorten(rest, room);
    if (part === rest) { lines.push(rest); break; }
    let length = part.length - 1;
    const blank = rest.lastIndexOf(" ", length);
    if (blank > length / 2) length = blank + 1;
    lines.push(lines.length === most - 1 ? part : rest.slice(0, length));
    rest = rest.slice(length);
  }
  return lines;
}

// The times at the left, and the names at the top with what the nodes are at the line where one looks.
function paintHead() {
  pen.fillStyle = colours.panel;
  pen.fillRect(0, HEAD, RULER, view.height);
  paintRuler();
  const y = lookingAt();
  const at = notes.length ? Math.max(0, noteAt(y)) : -1;
  if (at >= 0) {
    pen.strokeStyle = colours.dim;
    pen.lineWidth = 1;
    pen.globalAlpha = 0.5;
    line(0, y + 0.5, view.width, y + 0.5);
    pen.globalAlpha = 1;
  }
  pen.fillStyle = colours.panel;
  pen.fillRect(0, 0, view.width, HEAD);
  pen.strokeStyle = colours.line;
  line(0, HEAD - 0.5, view.width, HEAD - 0.5);
  line(RULER - 0.5, HEAD, RULER - 0.5, view.height);
  pen.textBaseline = "middle";
  pen.textAlign = "left";
  pen.fillStyle = colours.dim;
  pen.font = FONT;
  if (at >= 0) {
    pen.fillText("at the line:", 6, 14);
    pen.fillText(seconds(notes[at].at), 6, 30);
  }
  lanes.forEach((lane, node) => {
    const x = laneX(node) - HALF - 12;
    const state = at < 0 ? { text: "", colour: "up" } : stateAt(lane, at);
    pen.fillStyle = colours[state.colour];
    pen.fillRect(x, 5, 12, HEAD - 11);
    pen.textAlign = "left";
    pen.fillStyle = colours.ink;
    pen.font = "bold 14px system-ui, sans-serif";
    pen.fillText(nameOf(node) + (view.only.has(node) ? " (only)" : ""), x + 17, 13);
    pen.font = FONT;
    const room = node + 1 < lanes.length ? laneX(node + 1) - laneX(node) - 30 : view.width - x - 20;
    pen.fillStyle = colours.dim;
    pen.fillText(shorten(state.text, room)[0], x + 17, 30);
    if (lane.commits.length && at >= 0) {
      const known = lastBefore(lane.commits, at);
      pen.fillText(shorten(known >= 0 ? "✓" + notes[lane.commits[known]].number : "", room - 22)[0], x + 42 + (view.only.has(node) ? 44 : 0), 13);
    }
  });
}

const within = (spans, at) => {
  const last = lastBefore(spans, at, span => span.from);
  return last >= 0 && (spans[last].to > at || spans[last].to === end) ? spans[last] : null;
};
function stateAt(lane, at) {
  const dead = within(lane.dead, at), role = within(lane.roles, at);
  if (dead) return { text: dead.halted ? "halted" : "dead", colour: dead.halted ? "halted" : "dead" };
  if (!role) return { text: "not started", colour: "up" };
  return { text: (role.role === "up" ? "up" : role.role + " t" + role.term) + (within(lane.frozen, at) ? ", paused" : ""), colour: role.role };
}

// The line where one looks: at the mouse, or at what was chosen, or in the middle.
function lookingAt() {
  if (view.pointer && view.pointer.y > HEAD) return view.pointer.y;
  if (view.chosen >= 0 && yOf(view.chosen) > HEAD && yOf(view.chosen) < view.height) return Math.round(yOf(view.chosen));
  return Math.round(HEAD + (view.height - HEAD) / 2);
}

function paintRuler() {
  if (!notes.length) return;
  pen.font = FONT;
  pen.textAlign = "right";
  pen.textBaseline = "middle";
  if (view.axis === "true") return paintScale();
  let low = -100, time = -1;
  const from = lastBefore(rows, Math.max(0, noteAt(HEAD))), to = Math.max(0, noteAt(view.height));
  for (let i = Math.max(0, from); i < rows.length && rows[i] <= to; i++) {
    const note = notes[rows[i]], y = yOf(rows[i]);
    const gap = i ? note.at - notes[rows[i - 1]].at : 0;
    if (gap >= 5e6 && y - 13 > low + 12 && silence(gap) * view.scale > 8) {
      pen.fillStyle = colours.dim;
      pen.fillText("⋮ " + span(gap), RULER - 6, y - 13);
      pen.strokeStyle = colours.grid;
      pen.lineWidth = 1;
      line(RULER, y - 13, view.width, y - 13);
      low = y - 13;
    }
    if (note.at === time || y < low + 12) continue;
    time = note.at;
    low = y;
    pen.fillStyle = colours.ink;
    pen.fillText(seconds(note.at), RULER - 6, y);
  }
}

// Round times, so far from each other that they can be read.
function paintScale() {
  let step = 0.001;
  for (let i = 0; step * view.scale < 60; i++) step *= i % 3 === 1 ? 2.5 : 2;
  for (let at = Math.ceil(view.top / step) * step; at < placeAt(view.height); at += step) {
    const y = HEAD + (at - view.top) * view.scale;
    pen.fillStyle = colours.ink;
    pen.fillText(seconds(Math.max(0, Math.round(at * 1000) * 1000)), RULER - 6, y);
    pen.strokeStyle = colours.grid;
    line(RULER - 4, y, RULER, y);
  }
}
