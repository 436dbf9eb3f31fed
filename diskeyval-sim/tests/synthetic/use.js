// What a person might do with a picture, one after the other.
const picture = document.getElementById("picture");
const key = key => document.dispatchEvent(new KeyboardEvent("keydown", { key, bubbles: true }));
const mouse = (kind, x, y, more) => picture.dispatchEvent(new PointerEvent(kind, { clientX: picture.getBoundingClientRect().x + x,
  clientY: picture.getBoundingClientRect().y + y, bubbles: true, pointerId: 1, ...more }));
picture.setPointerCapture = () => {};
for (const name of ["v", "k", "m", "m", "j", "+", "+", "-", "0", "Home", "End", "PageUp", "ArrowDown", "n", "p", "Escape"]) key(name);
picture.dispatchEvent(new WheelEvent("wheel", { deltaY: -300, cancelable: true }));
picture.dispatchEvent(new WheelEvent("wheel", { deltaY: -300, ctrlKey: true, cancelable: true }));
for (let y = 60; y < 700; y += 7) mouse("pointermove", 300, y);
mouse("pointerdown", 300, 300, { buttons: 1 });
mouse("pointermove", 300, 200, { buttons: 1 });
mouse("pointerup", 300, 200);
mouse("pointerdown", 400, 300);
mouse("pointerup", 400, 300);
// The first node only, and then all again.
mouse("pointerdown", 140, 15);
mouse("pointerup", 140, 15);
mouse("pointerdown", 140, 15);
mouse("pointerup", 140, 15);
const axis = document.getElementById("axis");
for (const value of ["true", "even", "true"]) { axis.value = value; axis.dispatchEvent(new Event("change")); }
for (const box of document.querySelectorAll("#filters input")) box.click();
const search = document.getElementById("search");
search.value = "heartbeat";
search.dispatchEvent(new Event("input"));
search.dispatchEvent(new KeyboardEvent("keydown", { key: "Enter" }));
document.body.dataset.used = "1";
