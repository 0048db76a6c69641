/* Keys: j k move, J K errors, n p findings, [ ] next run, / find, g and a letter go, . new rows, ? sheet. */
import { open } from "./dialog.js";

const CHORD_MS = 1500;
const ROOMS = { o: "Overview", a: "Alerts", p: "Approvals", r: "Runs", s: "Sessions", t: "Traces", m: "MTTD and drills", d: "Detectors", k: "Members and keys", l: "Audit" };
let chord = 0;

const rows = () => [...document.querySelectorAll(".step, tbody tr:has(.row-link)")];
const target = (row) => row?.querySelector(".row-link") ?? row;
const isHere = (row) => row.ariaCurrent === "true" || row.contains(document.activeElement);

function move(step, wanted = () => true) {
  const all = rows();
  const at = all.findIndex(isHere);
  const from = at < 0 ? (step > 0 ? -1 : all.length) : at;
  const candidates = step > 0 ? all.slice(from + 1) : all.slice(0, Math.max(0, from)).reverse();
  const next = target(candidates.find(wanted));
  if (!next) return;
  next.focus();
  next.scrollIntoView({ block: "nearest" });
  if (next.matches(".step")) next.click();
}

const isError = (row) => "error" in row.dataset;
const isFinding = (row) => "finding" in row.dataset || row.querySelector(".finding") !== null;
const click = (selector) => document.querySelector(selector)?.click();

/* What opens leads on to its first field. */
function press(own) {
  own.click();
  if (own.matches("summary") && own.parentElement.open) own.parentElement.querySelector("select, input:not([type='hidden'])")?.focus();
}

const ACTIONS = {
  j: () => move(1),
  k: () => move(-1),
  J: () => move(1, isError),
  K: () => move(-1, isError),
  n: () => move(1, isFinding),
  p: () => move(-1, isFinding),
  "[": () => click('a[rel="prev"]'),
  "]": () => click('a[rel="next"]'),
  ".": () => click("[data-live-show]"),
  "/": () => (document.querySelector("[data-filter]") ?? document.querySelector("[data-key='/']"))?.focus(),
  "?": () => open("keys"),
  g: () => { chord = Date.now(); },
};

function go(letter) {
  const room = [...document.querySelectorAll(".nav .nav-item")].find((item) => item.querySelector("span")?.textContent === ROOMS[letter]);
  room?.click();
}

function isTyping(element) {
  return element.matches?.("input, textarea, select, [contenteditable]") || document.querySelector("dialog[open]");
}

document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey || event.defaultPrevented) return;
  if (event.key === "Escape" && event.target.matches?.("input")) event.target.blur();
  if (isTyping(event.target)) return;
  const inChord = Date.now() - chord < CHORD_MS;
  chord = 0;
  if (inChord && ROOMS[event.key]) return go(event.key);
  const focused = document.querySelector(`[data-focus-key="${CSS.escape(event.key)}"]`);
  const own = document.querySelector(`[data-key="${CSS.escape(event.key)}"]:not(input)`);
  const action = focused ? () => focused.focus() : own ? () => press(own) : ACTIONS[event.key];
  if (!action) return;
  event.preventDefault();
  action();
});
