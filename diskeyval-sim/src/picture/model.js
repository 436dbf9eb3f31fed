// What happened, understood once: messages, requests, and what nodes were over time. Moments are told as places in the
// list of notes, never as times: many notes have the same time, and their order matters.

// A mistake in this script must be seen, by people and by tests.
addEventListener("error", event => {
  document.body.dataset.failed = event.message;
  document.getElementById("why").textContent += " [This page's script failed: " + event.message + "]";
});

const data = JSON.parse(document.getElementById("data").textContent);
const notes = data.notes;
const end = Math.max(0, notes.length - 1);

// What can be shown or not, with the kinds of messages that belong to it. `only` tells other notes.
const GROUPS = [
  { name: "elections", colour: "election", kinds: ["pre-vote-request", "pre-vote", "vote-request", "vote", "timeout-now"] },
  { name: "appends", colour: "append", kinds: ["append"] },
  { name: "acks", colour: "ack", kinds: ["appended", "conflict"] },
  { name: "commit words", colour: "told", kinds: ["commit"] },
  { name: "reads", colour: "read", kinds: ["read-index", "read-at", "read-refused", "heartbeat", "confirmed"] },
  { name: "writes", colour: "write", kinds: ["write", "refused", "open-session"] },
  { name: "links", colour: "link", kinds: ["hello", "welcome", "confirm", "goodbye", "ping"] },
  { name: "routine", colour: "link", kinds: [], off: true },
  { name: "clients", colour: "ok", only: ["ask", "answer"] },
  { name: "commits", colour: "commit", only: ["commit"] },
  { name: "events", colour: "mark", only: ["event"] },
  { name: "faults", colour: "wall", only: ["block", "unblock", "cut", "disturb", "freeze", "thaw"] },
];
// A kind that is not known here (one that was made later) is shown all the same.
const OTHER = { name: "other words", colour: "write", kinds: [] };
GROUPS.push(OTHER);
for (const group of GROUPS) Object.assign(group, { shown: !group.off, count: 0 });
const ROUTINE = GROUPS.find(group => group.name === "routine");

// Characters that would not show, or would turn the text around them, become visible: keys may hold anything.
const UNSEEN = /[\u0000-\u001f\u007f-\u009f\u061c\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff]/g;
const clean = text => text.replace(UNSEEN, char => "\\u{" + char.codePointAt(0).toString(16) + "}");
for (const note of notes) note.line = clean(note.line);

const nameOf = node => "n" + (node + 1);
const seconds = at => {
  const micros = Math.floor(at / 1000);
  return Math.floor(micros / 1e6) + "." + String(micros % 1e6).padStart(6, "0");
};
const span = nanos => nanos >= 1e9 ? (nanos / 1e9).toFixed(2) + " s" : nanos >= 1e6 ? (nanos / 1e6).toFixed(nanos < 1e7 ? 1 : 0) + " ms"
  : Math.round(nanos / 1000) + " µs";

// What a trace line says without the time, and without who says it where a picture shows that.
const body = note => note.line.replace(/^\s*\S+ /, "");
const said = note => body(note).replace(/^(n\d+->n\d+ |n\d+ {2,}|(\*\*|==|!!) +)/, "");

const lanes = Array.from({ length: data.nodes }, () => ({ roles: [], dead: [], frozen: [], walls: [], ops: [], commits: [], slots: 0 }));
const messages = [], cuts = [], violations = [], phases = [];
// For each note, the message or request that it is a part of.
const partOf = new Array(notes.length).fill(null);

(function understand() {
  const words = new Map(), asked = new Map();
  const open = lanes.map(() => ({ out: new Set(), into: new Set() }));
  const close = (node, what, at) => {
    const last = open[node][what];
    if (last) last.to = at;
    open[node][what] = null;
  };
  const begin = (node, what, list, at, more) => {
    close(node, what, at);
    list.push(open[node][what] = { node, from: at, to: end, open: true, ...more });
  };
  const wall = (node, at) => {
    const { out, into } = open[node];
    const text = [...new Set([...out, ...into])].sort((a, b) => a - b)
      .map(peer => (out.has(peer) ? (into.has(peer) ? "↔" : "→") : "←") + nameOf(peer)).join(" ");
    const last = open[node].wall;
    // A partition is many notes of one moment, and one wall.
    if (last && text && notes[last.from].at === notes[at].at) last.text = text;
    else if (text) begin(node, "wall", lanes[node].walls, at, { text });
    else close(node, "wall", at);
  };
  const slot = (lane, op) => {
    // Requests of one node that overlap stand side by side, up to a limit.
    const taken = new Set(lane.ops.slice(-40).filter(other => other.to > op.from).map(other => other.slot));
    let free = 0;
    while (taken.has(free) && free < 5) free++;
    op.slot = free;
    lane.slots = Math.max(lane.slots, free + 1);
  };
  // How requests end has to be known before the bars are laid side by side.
  const answers = new Map();
  notes.forEach((note, at) => { if (note.is === "answer") answers.set(note.key, at); });

  notes.forEach((note, at) => {
    const { node, to } = note;
    const lane = lanes[node];
    switch (note.is) {
      case "start":
        close(node, "dead", at);
        close(node, "frozen", at);
        begin(node, "role", lane.roles, at, { role: "up", term: "" });
        break;
      case "crash":
      case "halt":
        close(node, "role", at);
        close(node, "frozen", at);
        begin(node, "dead", lane.dead, at, { halted: note.is === "halt" });
        // Who asked never learns what became of it.
        for (const op of lane.ops) if (op.fate === "waiting" && op.to === end) Object.assign(op, { to: at, fate: "unknown", died: true });
        break;
      case "freeze": begin(node, "frozen", lane.frozen, at); break;
      case "thaw": close(node, "frozen", at); break;
      case "role": begin(node, "role", lane.roles, at, { role: note.kind, term: note.number }); break;
      case "block":
      case "unblock":
        open[node].out[note.is === "block" ? "add" : "delete"](to);
        open[to].into[note.is === "block" ? "add" : "delete"](node);
        wall(node, at);
        wall(to, at);
        break;
      case "cut": cuts.push(at); break;
      case "phase": phases.push(at); break;
      case "violation": violations.push(at); break;
      case "commit": lane.commits.push(at); break;
      case "send": {
        const group = note.routine ? ROUTINE : GROUPS.find(group => group.kinds && group.kinds.includes(note.kind)) || OTHER;
        const message = { node, to, from: at, end, fate: "flying", group };
        group.count++;
        messages.push(message);
        words.set(note.key, message);
        partOf[at] = message;
        break;
      }
      case "arrive":
      case "lose": {
        const message = words.get(note.key);
        if (message) Object.assign(message, { end: at, fate: note.is === "arrive" ? "arrived" : "lost" });
        partOf[at] = message || null;
        break;
      }
      case "ask": {
        const op = { node, from: at, to: answers.get(note.key) ?? end, fate: answers.has(note.key) ? notes[answers.get(note.key)].kind : "waiting" };
        slot(lane, op);
        lane.ops.push(op);
        asked.set(note.key, op);
        partOf[at] = op;
        break;
      }
      case "answer": partOf[at] = asked.get(note.key) || null; break;
    }
    const group = GROUPS.find(group => group.only && group.only.includes(note.is));
    if (group) group.count++;
  });
})();

// Finds, of many spans in the order of their beginnings, those that touch a part of the run, without a look at all of
// them: whole chunks that ended before it are passed over.
const CHUNK = 128;
function finder(spans, endOf) {
  const last = [];
  spans.forEach((span, i) => {
    const chunk = Math.floor(i / CHUNK);
    last[chunk] = Math.max(last[chunk] ?? -1, endOf(span));
  });
  return (from, to, each) => {
    for (let chunk = 0; chunk < last.length; chunk++) {
      if (last[chunk] < from) continue;
      for (let i = chunk * CHUNK; i < Math.min(spans.length, (chunk + 1) * CHUNK); i++) {
        if (spans[i].from > to) return;
        if (endOf(spans[i]) >= from) each(spans[i]);
      }
    }
  };
}
const findMessages = finder(messages, message => message.end);
for (const lane of lanes) {
  for (const what of ["roles", "dead", "frozen", "walls", "ops"]) lane["find_" + what] = finder(lane[what], span => span.to);
}

// The last of some places that is no later than a given one.
function lastBefore(places, at, placeOf = place => place) {
  let low = 0, high = places.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (placeOf(places[middle]) <= at) low = middle + 1; else high = middle;
  }
  return low - 1;
}
