// The whole run in a strip: who was what, what was done to it, where the violation is. It is also the scroll bar.

const map = document.getElementById("map");
const mapPen = map.getContext("2d");
// Its picture changes with the filters only; the frame that shows where one is, with every movement.
let strip = null;

function drawStrip() {
  const { width, height } = resize(map, mapPen);
  const low = notes.length ? place[0] : 0, scale = (height - 6) / Math.max((notes.length ? place[end] : 0) - low, 1e-6);
  const y = at => (place[at] - low) * scale;
  const column = (width - 10) / Math.max(1, lanes.length);
  mapPen.fillStyle = colours.panel;
  mapPen.fillRect(0, 0, width, height);
  const bar = (span, node, colour, part = 1) => {
    mapPen.fillStyle = colour;
    const bottom = span.to === end ? height : y(span.to);
    mapPen.fillRect(5 + node * column, y(span.from), Math.max(1, (column - 1) * part), Math.max(1, bottom - y(span.from)));
  };
  lanes.forEach((lane, node) => {
    for (const span of lane.roles) bar(span, node, colours[span.role]);
    for (const span of lane.frozen) bar(span, node, colours.frozen);
    for (const span of lane.walls) bar(span, node, colours.wall, 0.35);
    for (const span of lane.dead) bar(span, node, span.halted ? colours.halted : colours.dead);
  });
  mapPen.fillStyle = colours.ink;
  for (const at of phases) mapPen.fillRect(0, y(at), width, 1);
  for (const at of found) {
    mapPen.fillStyle = colours.chosen;
    mapPen.fillRect(width - 5, y(at) - 1, 5, 2);
  }
  for (const at of violations) {
    mapPen.fillStyle = colours.bad;
    mapPen.fillRect(0, y(at) - 2, width, 4);
  }
  strip = { scale, low, height, width, image: document.createElement("canvas") };
  strip.image.width = map.width;
  strip.image.height = map.height;
  if (map.width && map.height) strip.image.getContext("2d").drawImage(map, 0, 0);
}

function paintMap() {
  if (!strip || strip.image.width !== Math.round(map.clientWidth * (window.devicePixelRatio || 1))) drawStrip();
  if (!strip.image.width || !strip.image.height) return;
  mapPen.drawImage(strip.image, 0, 0, strip.width, strip.height);
  const top = (view.top - strip.low) * strip.scale, height = Math.max(6, fits() * strip.scale);
  mapPen.globalAlpha = 0.15;
  mapPen.fillStyle = colours.ink;
  mapPen.fillRect(0, top, strip.width, height);
  mapPen.globalAlpha = 1;
  mapPen.strokeStyle = colours.ink;
  mapPen.lineWidth = 2;
  mapPen.strokeRect(1, top, strip.width - 2, height);
}

function moveByMap(event) {
  const where = strip.low + event.offsetY / strip.scale;
  view.top = where - fits() / 2;
  keepInside();
  refresh();
}
map.addEventListener("pointerdown", event => { map.setPointerCapture(event.pointerId); moveByMap(event); });
map.addEventListener("pointermove", event => { if (event.buttons & 1) moveByMap(event); });
