/* The pulse in the top bar: one bar a second, the newest three blue, and when the last step came in. */
import { ago } from "./time.js";

const BARS = 15;
const pulse = document.querySelector("[data-pulse]");
const counts = new Array(BARS).fill(0);
const KEY = `agentops-last-step-${pulse?.dataset.pulse}`;
let last = Number(localStorage.getItem(KEY)) || null;
let lost = false;

function draw() {
  const top = Math.max(1, ...counts);
  pulse.querySelectorAll("rect").forEach((bar, i) => {
    const high = counts[i] ? Math.max(3, Math.round((14 * Math.log1p(counts[i])) / Math.log1p(top))) : 1;
    bar.setAttribute("height", high);
    bar.setAttribute("y", 14 - high);
    bar.toggleAttribute("data-new", i >= BARS - 3 && counts[i] > 0);
  });
  pulse.toggleAttribute("data-lost", lost);
  pulse.querySelector("[data-pulse-words]").textContent = words();
}

function words() {
  if (lost) return "not connected, trying again";
  return last ? `last step ${ago((Date.now() - last) / 1000)}` : "listening";
}

function start() {
  const svg = pulse.querySelector("svg");
  for (let i = 0; i < BARS; i += 1) {
    const bar = document.createElementNS("http://www.w3.org/2000/svg", "rect");
    bar.setAttribute("x", i * 3);
    bar.setAttribute("width", 2);
    svg.append(bar);
  }
  document.body.addEventListener("traces-stored", ({ detail }) => {
    if (!detail.steps) return;
    counts[BARS - 1] += detail.steps;
    last = Date.now();
    localStorage.setItem(KEY, last);
    draw();
  });
  document.body.addEventListener("live-state", ({ detail }) => {
    lost = detail.kind === "lost";
    draw();
  });
  setInterval(() => {
    counts.shift();
    counts.push(0);
    if (!document.hidden) draw();
  }, 1000);
  draw();
}

if (pulse) start();
