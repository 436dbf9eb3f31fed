// The trace at the side, the details of what was chosen, and the search. Of the trace, only the lines in sight are there.

const list = document.getElementById("list"), linesBox = document.getElementById("rows"), detail = document.getElementById("detail");
const LINE = 18;
// What the search has found, in order.
let found = [], foundSet = new Set(), current = -1;

function element(name, text, parts = {}) {
  const made = document.createElement(name);
  if (text) made.textContent = text;
  return Object.assign(made, parts);
}

function colourOf(at) {
  const note = notes[at], part = partOf[at];
  if (note.is === "violation") return colours.bad;
  if (part) return part.group ? colours[part.group.colour] : colours[part.fate];
  if (note.is === "role") return colours[note.kind];
  if (note.is === "commit") return colours.commit;
  return note.is === "event" ? colours.mark : LOUD.has(note.is) ? colours.wall : "transparent";
}

// An arrival alone says little: what has arrived is said with it.
function fullLine(at) {
  const note = notes[at], part = partOf[at];
  if ((note.is === "arrive" || note.is === "lose") && part) return note.line + "  ⟵ " + body(notes[part.from]);
  return note.line;
}

function paintList() {
  linesBox.style.height = rows.length * LINE + "px";
  const from = Math.max(0, Math.floor(list.scrollTop / LINE) - 5);
  const to = Math.min(rows.length, from + Math.ceil(list.clientHeight / LINE) + 10);
  const fresh = [];
  for (let i = from; i < to; i++) {
    const at = rows[i], note = notes[at];
    const row = element("div", fullLine(at), { title: fullLine(at), onclick: () => choose(at, "picture") });
    row.style.top = i * LINE + "px";
    row.style.borderLeftColor = colourOf(at);
    row.setAttribute("role", "option");
    row.setAttribute("aria-selected", at === view.chosen);
    if (at === view.chosen) row.classList.add("chosen");
    if (foundSet.has(at)) row.classList.add("hit");
    if (note.is === "violation") row.classList.add("bad");
    else if (LOUD.has(note.is)) row.classList.add("strong");
    else if (note.is === "arrive" || note.is === "commit") row.classList.add("dim");
    fresh.push(row);
  }
  linesBox.replaceChildren(...fresh);
}
list.addEventListener("scroll", paintList);

// The trace goes along with the picture.
function followInList(at) {
  const row = Math.max(0, lastBefore(rows, at));
  linesBox.style.height = rows.length * LINE + "px";
  list.scrollTop = row * LINE - list.clientHeight / 2;
}

function describe(at) {
  const note = notes[at], part = partOf[at];
  const said = [note.line];
  if (part && part.group) {
    said.push("sent " + seconds(notes[part.from].at) + (part.fate === "flying" ? ", still on its way at the end"
      : (part.fate === "lost" ? ", lost " : ", arrived ") + seconds(notes[part.end].at) + " (" + span(notes[part.end].at - notes[part.from].at) + ")"));
    if (at !== part.from) said.splice(1, 0, notes[part.from].line);
  } else if (part) {
    if (at !== part.from) said.splice(1, 0, notes[part.from].line);
    else if (part.fate !== "waiting" && !part.died) said.push(notes[part.to].line);
    said.push(part.fate === "waiting" ? "not answered when the run ended" : part.died ? "the node died before it answered"
      : part.fate + " after " + span(notes[part.to].at - notes[part.from].at));
  }
  return said.join("\n");
}

function otherEnd(at) {
  const part = partOf[at];
  if (!part) return -1;
  const far = part.group ? (part.fate === "flying" ? -1 : part.end) : part.fate === "waiting" ? -1 : part.to;
  return at === part.from ? far : part.from;
}

function paintDetail() {
  detail.replaceChildren();
  if (view.chosen < 0) return;
  detail.append(element("div", describe(view.chosen)));
  const other = otherEnd(view.chosen);
  if (other >= 0) detail.append(element("button", "other end (m)", { type: "button", onclick: () => choose(other, "both") }));
  detail.append(element("button", "show in the picture", { type: "button", onclick: () => choose(view.chosen, "picture") }));
}

// Chooses a note. What did not do the choosing is brought to show it.
function choose(at, bring) {
  view.chosen = at;
  if (at >= 0 && bring !== "list") {
    const y = yOf(at);
    if (bring === "picture" || y < HEAD + 30 || y > view.height - 30) show(at, 0.4);
  }
  if (at >= 0 && bring !== "picture") followInList(at);
  paintDetail();
  refresh();
}

const search = document.getElementById("search"), hits = document.getElementById("hits");
function lookFor() {
  const wanted = search.value.toLowerCase();
  found = [];
  let hidden = 0;
  if (wanted) notes.forEach((note, at) => {
    if (!note.line.toLowerCase().includes(wanted)) return;
    if (shown[at]) found.push(at); else hidden++;
  });
  foundSet = new Set(found);
  current = -1;
  tellHits(hidden);
  strip = null;
  refresh();
}
function tellHits(hidden = 0) {
  hits.dataset.hidden = hidden || hits.dataset.hidden && current >= 0 && hits.dataset.hidden || "";
  hits.textContent = !search.value ? "" : (current >= 0 ? current + 1 + " of " : "") + found.length + (found.length === 1 ? " hit" : " hits")
    + (hits.dataset.hidden ? " (" + hits.dataset.hidden + " hidden)" : "");
}
function nextHit(step) {
  if (!found.length) return;
  if (current < 0) {
    // From where one is.
    const here = view.chosen >= 0 ? view.chosen : Math.max(0, noteAt(HEAD));
    const before = lastBefore(found, here - (step > 0 ? 1 : 0));
    current = (before + (step > 0 ? 1 : 0) + found.length) % found.length;
  } else {
    current = (current + step + found.length) % found.length;
  }
  choose(found[current], "both");
  tellHits();
}
search.addEventListener("input", lookFor);
search.addEventListener("keydown", event => {
  if (event.key === "Enter") { event.preventDefault(); nextHit(event.shiftKey ? -1 : 1); }
  if (event.key === "Escape") { search.value = ""; lookFor(); canvas.focus(); }
});
document.getElementById("before").onclick = () => nextHit(-1);
document.getElementById("after").onclick = () => nextHit(1);
