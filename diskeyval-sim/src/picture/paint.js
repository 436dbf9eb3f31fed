// The picture itself. Only what can be seen is drawn; what was drawn is remembered, so that the mouse can find it.

const pen = canvas.getContext("2d");
let colours = {};
let drawn = { arrows: 0, lost: 0, flying: 0, hits: [] };

function readColours() {
  const style = getComputedStyle(document.documentElement);
  colours = new Proxy({}, { get: (known, name) => (known[name] ??= style.getPropertyValue("--" + name).trim() || "#888") });
}

function resize(canvas, pen) {
  const ratio = window.devicePixelRatio || 1;
  const { clientWidth: width, clientHeight: height } = canvas;
  canvas.width = Math.round(width * ratio);
  canvas.height = Math.round(height * ratio);
  pen.setTransform(ratio, 0, 0, ratio, 0, 0);
  return { width, height };
}

function line(x1, y1, x2, y2) {
  pen.beginPath();
  pen.moveTo(x1, y1);
  pen.lineTo(x2, y2);
  pen.stroke();
}

// Slanting lines in a box: something is not as it should be there.
function hatch(x, y, width, height, colour, step = 6) {
  pen.save();
  pen.beginPath();
  pen.rect(x, y, width, height);
  pen.clip();
  pen.strokeStyle = colour;
  pen.lineWidth = 1.2;
  pen.beginPath();
  // Begins at a multiple of the step of the whole run, so that scrolling does not make it swim.
  const shift = ((view.top * view.scale + y) % step + step) % step;
  for (let at = y - width - shift; at < y + height; at += step) {
    pen.moveTo(x, at + width);
    pen.lineTo(x + width, at);
  }
  pen.stroke();
  pen.restore();
}

// Text along a lane, as often as there is room for it.
function along(text, x, top, bottom, colour) {
  const length = text.length * 6.7 + 24;
  if (bottom - top < length - 20) return;
  pen.fillStyle = colour;
  pen.textAlign = "center";
  pen.textBaseline = "middle";
  const period = Math.max(260, length);
  for (let y = top + length / 2; y < bottom; y += period) {
    if (y + length / 2 > bottom + 18) break;
    pen.save();
    pen.translate(x, y);
    pen.rotate(Math.PI / 2);
    pen.fillText(text, 0, 0);
    pen.restore();
  }
}

const clip = span => {
  const bottom = span.to === end && span.open ? Math.max(yOf(end) + 20, 0) : yOf(span.to);
  return [Math.max(yOf(span.from), HEAD - 30), Math.min(bottom, view.height + 30)];
};

function paintLanes(from, to) {
  pen.font = FONT;
  lanes.forEach((lane, node) => {
    const x = laneX(node);
    const before = node ? (laneX(node - 1) + x) / 2 : RULER, after = node + 1 < lanes.length ? (laneX(node + 1) + x) / 2 : view.width;
    pen.strokeStyle = colours.line;
    pen.lineWidth = 1;
    line(x + 0.5, HEAD, x + 0.5, Math.min(view.height, yOf(end) + 30));
    lane.find_roles(from, to, span => {
      const [top, bottom] = clip(span);
      if (span.role === "leader" || span.role === "candidate") {
        // Who leads is the first thing that anybody wants to see.
        pen.globalAlpha = 0.1;
        pen.fillStyle = colours[span.role];
        pen.fillRect(before, top, after - before, bottom - top);
        pen.globalAlpha = 1;
      }
      pen.fillStyle = colours[span.role];
      pen.fillRect(x - HALF, top, HALF * 2, bottom - top);
      pen.strokeStyle = colours.paper;
      if (bottom - top > 4) line(x - HALF, top, x + HALF, top);
      if (span.term !== "") {
        const ink = span.role === "leader" ? colours["leader-ink"] : span.role === "follower" ? colours["follower-ink"] : colours.ink;
        termMarks(span, x, top, bottom, ink);
      }
    });
    lane.find_frozen(from, to, span => {
      const [top, bottom] = clip(span);
      hatch(x - HALF, top, HALF * 2, bottom - top, colours.frozen, 5);
      pen.strokeStyle = colours.frozen;
      pen.lineWidth = 3;
      line(x - HALF, top, x - HALF, bottom);
      line(x + HALF, top, x + HALF, bottom);
      halo(x - 6, top, 12, bottom - top);
      along("paused", x, top, bottom, colours.ink);
    });
    lane.find_dead(from, to, span => {
      const [top, bottom] = clip(span);
      pen.fillStyle = colours.paper;
      pen.fillRect(x - HALF, top, HALF * 2, bottom - top);
      hatch(x - HALF, top, HALF * 2, bottom - top, span.halted ? colours.halted : colours.dead, 7);
      halo(x - 6, top, 12, bottom - top);
      along(span.halted ? "halted" : "dead", x, top, bottom, span.halted ? colours.halted : colours.dead);
    });
    lane.find_walls(from, to, span => {
      const [top, bottom] = clip(span);
      const left = x - HALF - WALL;
      pen.globalAlpha = 0.2;
      pen.fillStyle = colours.wall;
      pen.fillRect(left, top, WALL - 1, bottom - top);
      pen.globalAlpha = 1;
      pen.strokeStyle = colours.wall;
      pen.lineWidth = 2;
      line(left + 1, top, left + 1, bottom);
      along("blocked " + span.text, left + 8, top, bottom, colours.wall);
    });
    if (GROUPS.find(group => group.name === "clients").shown) lane.find_ops(from, to, op => paintOp(op, node));
  });
}

// Room for text on a hatched ground.
function halo(x, y, width, height) {
  if (height < 20) return;
  pen.globalAlpha = 0.75;
  pen.fillStyle = colours.paper;
  pen.fillRect(x, y, width, height);
  pen.globalAlpha = 1;
}

// The term, at the beginning of a role and again every so often, so that it is in sight wherever one looks.
function termMarks(span, x, top, bottom, ink) {
  pen.fillStyle = ink;
  pen.textAlign = "center";
  pen.textBaseline = "middle";
  const period = 220;
  const letter = { follower: "F", "pre-candidate": "P", candidate: "C", leader: "L" }[span.role] || "";
  const begins = yOf(span.from);
  const skipped = Math.max(0, Math.floor((top - begins) / period));
  for (let y = begins + skipped * period + 9; y < bottom - 5; y += period) {
    if (bottom - top < 14) break;
    pen.fillText(letter, x, y);
    if (y + 18 < bottom) pen.fillText("t" + span.term, x, y + 12);
  }
}

function paintOp(op, node) {
  const x = laneX(node) + HALF + 2 + op.slot * SLOT;
  const top = yOf(op.from), bottom = op.to === end && op.fate === "waiting" ? yOf(end) + 20 : yOf(op.to);
  pen.fillStyle = colours[op.fate];
  pen.fillRect(x, top, SLOT - 1, Math.max(2, bottom - top));
  pen.fillRect(x - 1, top - 1, SLOT + 1, 2);
  // The end says it by its form too: flat for done, a cross for refused, nothing for what nobody knows.
  if (op.fate === "ok") pen.fillRect(x - 1, bottom - 1, SLOT + 1, 2);
  if (op.fate === "refused") cross(x + SLOT / 2, bottom, 3, colours.refused);
  drawn.hits.push({ x1: x + 2, y1: top, x2: x + 2, y2: bottom, at: op.from });
}

function cross(x, y, size, colour) {
  pen.strokeStyle = colour;
  pen.lineWidth = 2;
  pen.beginPath();
  pen.moveTo(x - size, y - size);
  pen.lineTo(x + size, y + size);
  pen.moveTo(x - size, y + size);
  pen.lineTo(x + size, y - size);
  pen.stroke();
}

// Where an arrow begins and ends. A lost one ends on its way, one in flight soon after it began.
function arrow(message) {
  const right = message.to > message.node ? 1 : -1;
  const x1 = laneX(message.node) + HALF * right, x2 = laneX(message.to) - HALF * right;
  const y1 = yOf(message.from), y2 = yOf(message.end);
  if (message.fate === "lost") return { x1, y1, x2: x1 + (x2 - x1) * 0.72, y2, right };
  if (message.fate === "flying") return { x1, y1, x2: x1 + (x2 - x1) * 0.5, y2: Math.min(y1 + 40, y2 + 25), right };
  return { x1, y1, x2, y2, right };
}

// A message that was held up for longer than the picture is high cannot be followed with the eye, and many of them
// would cover everything else: only its ends are drawn.
const waits = message => message.fate !== "flying" && yOf(message.end) - yOf(message.from) > (view.height - HEAD) * 0.8;

function paintEnds(message, { x1, y1, x2, y2 }) {
  const part = 0.22 * (x2 - x1), down = 26;
  pen.setLineDash([2, 3]);
  line(x1, y1, x1 + part, y1 + down);
  line(x2 - part, y2 - down, x2, y2);
  pen.setLineDash([]);
  if (message.fate === "arrived") head(x2 - part, y2 - down, x2, y2);
  drawn.hits.push({ x1, y1, x2: x1 + part, y2: y1 + down, at: message.from });
  drawn.hits.push({ x1: x2 - part, y1: y2 - down, x2, y2, at: message.end });
}

const MANY = 6000;
function paintArrows(from, to) {
  const visible = [];
  findMessages(from, to, message => { if (shown[message.from]) visible.push(message); });
  // From afar they are a texture; a part of them makes the same one.
  const every = Math.max(1, Math.ceil(visible.length / MANY));
  const fine = visible.length < 1500;
  drawn.thinned = every;
  const chosen = view.chosen >= 0 ? partOf[view.chosen] : null;
  visible.forEach((message, i) => {
    if (i % every && message.fate !== "lost" && message !== chosen) return;
    const { x1, y1, x2, y2, right } = arrow(message);
    const colour = message === chosen ? colours.chosen : colours[message.group.colour];
    pen.strokeStyle = pen.fillStyle = colour;
    pen.lineWidth = message === chosen ? 3 : fine ? 1.4 : 0.8;
    pen.globalAlpha = fine || message === chosen ? 1 : 0.5;
    if (waits(message) && message !== chosen) {
      paintEnds(message, { x1, y1, x2, y2 });
      if (message.fate === "lost") cross(x2, y2, 4, colour);
      drawn.arrows++;
      return;
    }
    pen.setLineDash(message.fate === "flying" ? [2, 3] : message.fate === "lost" ? [6, 3] : []);
    line(x1, y1, x2, y2);
    pen.setLineDash([]);
    drawn.arrows++;
    drawn.hits.push({ x1, y1, x2, y2, at: message.from });
    if (fine || message === chosen) {
      if (message.fate === "arrived") head(x1, y1, x2, y2);
      if (message.fate === "flying") { pen.lineWidth = 1.5; pen.beginPath(); pen.arc(x2, y2, 4, 0, 7); pen.stroke(); }
      pen.beginPath();
      pen.arc(x1 - right, y1, 2, 0, 7);
      pen.fill();
    }
    if (message.fate === "lost") { cross(x2, y2, fine ? 4 : 2, colour); drawn.lost++; }
    if (message.fate === "flying") drawn.flying++;
  });
  pen.globalAlpha = 1;
}

function head(x1, y1, x2, y2) {
  const angle = Math.atan2(y2 - y1, x2 - x1), size = 7;
  pen.beginPath();
  pen.moveTo(x2, y2);
  pen.lineTo(x2 - size * Math.cos(angle - 0.4), y2 - size * Math.sin(angle - 0.4));
  pen.lineTo(x2 - size * Math.cos(angle + 0.4), y2 - size * Math.sin(angle + 0.4));
  pen.fill();
}

// What happens on a lane, or between two, in one moment.
// `few`: only what stands out, for a picture from afar.
function paintMarks(from, to, few) {
  for (let at = Math.max(0, from); at <= to && at < notes.length; at++) {
    const note = notes[at];
    if (!shown[at] || partOf[at]) continue;
    const y = yOf(at), x = note.node === undefined ? 0 : laneX(note.node);
    switch (note.is) {
      case "commit":
        if (!few) { pen.fillStyle = colours.commit; pen.fillRect(x - HALF, y - 1, HALF * 2, 2); }
        break;
      case "event":
        if (!few) diamond(x, y, colours.mark);
        break;
      case "disturb":
        for (const node of note.nodes) diamond(laneX(node), y, colours.wall);
        break;
      case "crash": case "halt":
        cross(x, y, 9, note.is === "halt" ? colours.halted : colours.ink);
        break;
      case "start": case "freeze": case "thaw":
        pen.fillStyle = colours.ink;
        pen.fillRect(x - HALF - 2, y - 1.5, HALF * 2 + 4, 3);
        break;
      case "block": case "unblock": case "cut": between(note, y); break;
      case "phase":
        pen.strokeStyle = colours.dim;
        pen.lineWidth = 1;
        pen.setLineDash([8, 4]);
        line(RULER, y, view.width, y);
        pen.setLineDash([]);
        break;
    }
    if (note.node !== undefined) drawn.hits.push({ x1: x - 8, y1: y, x2: x + 8, y2: y, at });
  }
}

function diamond(x, y, colour) {
  pen.fillStyle = colour;
  pen.strokeStyle = colours.paper;
  pen.lineWidth = 1;
  pen.beginPath();
  pen.moveTo(x, y - 5);
  pen.lineTo(x + 5, y);
  pen.lineTo(x, y + 5);
  pen.lineTo(x - 5, y);
  pen.closePath();
  pen.fill();
  pen.stroke();
}

// Blocked: a bar where nothing gets in. Cut: a cross halfway.
function between(note, y) {
  const right = note.to > note.node ? 1 : -1;
  const x1 = laneX(note.node) + HALF * right, x2 = laneX(note.to) - (HALF + 3) * right;
  pen.strokeStyle = colours.wall;
  pen.lineWidth = 1.5;
  pen.setLineDash([3, 4]);
  line(x1, y, x2, y);
  pen.setLineDash([]);
  pen.lineWidth = 3;
  if (note.is === "block") line(x2, y - 6, x2, y + 6);
  if (note.is === "unblock") { pen.fillStyle = colours.wall; head(x1, y, x2, y); }
  if (note.is === "cut") cross((x1 + x2) / 2, y, 6, colours.wall);
}

function paint() {
  Object.assign(view, resize(canvas, pen));
  drawn = { arrows: 0, lost: 0, flying: 0, hits: [], thinned: 1 };
  pen.fillStyle = colours.paper;
  pen.fillRect(0, 0, view.width, view.height);
  const from = Math.max(0, noteAt(HEAD - 40)), to = Math.min(end, Math.max(0, noteAt(view.height + 40)) + 1);
  if (notes.length) {
    // From afar, messages are the ground on which the lanes stand.
    const afar = view.scale * (view.axis === "even" ? 1 : (end + 1) / Math.max(1, place[end] - place[0])) < 3;
    if (afar) paintArrows(from, to);
    paintLanes(from, to);
    paintMarks(from, to, afar);
    if (!afar) paintArrows(from, to);
    taken = new Map();
    paintViolations(from, to);
    paintLabels(from, to, afar);
  }
  paintHead();
}
