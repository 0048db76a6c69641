/* What has a deadline counts down by the server's clock: data-deadline, data-now (the server's time when it was drawn)
   and data-total in seconds. Five minutes before the end it is marked, at the end it says so. */
import { clock } from "./time.js";

const SOON_S = 300;
const offsets = new WeakMap();

function left(element) {
  if (!offsets.has(element)) offsets.set(element, Date.parse(element.dataset.now) - Date.now());
  return (Date.parse(element.dataset.deadline) - Date.now() - offsets.get(element)) / 1000;
}

function draw(element) {
  const seconds = Math.max(0, left(element));
  const share = Math.min(100, (100 * seconds) / Number(element.dataset.total));
  const words = element.querySelector("[data-left]");
  if (words.textContent !== clock(seconds)) words.textContent = clock(seconds);
  element.querySelector("[data-share-bar]")?.setAttribute("width", `${share}%`);
  element.querySelector("[data-share-ring]")?.setAttribute("stroke-dasharray", `${share} 100`);
  element.toggleAttribute("data-soon", seconds < SOON_S);
  element.closest("tr")?.toggleAttribute("data-soon", seconds < SOON_S);
  if (seconds === 0 && !element.dataset.over) end(element);
}

function end(element) {
  element.dataset.over = "yes";
  /* The server ends it within a second or two, and says so by itself; this is for who is cut off from it. */
  setTimeout(() => document.body.dispatchEvent(new CustomEvent("approvals-changed", { detail: { ids: [] } })), 3000);
}

function tick() {
  for (const element of document.querySelectorAll("[data-deadline]")) draw(element);
}

setInterval(tick, 1000);
document.addEventListener("visibilitychange", tick);
document.addEventListener("htmx:load", tick);
document.body.addEventListener("live-rows", tick);
tick();
