/* Times tick once a second, as text: data-ago says how long ago, data-since counts 1:14, data-until counts down. */
const SPACE = "\u00a0";
const UNITS = [[86400, "d"], [3600, "h"], [60, "min"]];

/* The same rule as ago() in agentops/web/numbers.py. */
export function ago(seconds) {
  const whole = Math.max(0, Math.floor(seconds));
  for (const [size, unit] of UNITS) if (whole >= size) return `${Math.floor(whole / size)}${SPACE}${unit} ago`;
  return `${whole}${SPACE}s ago`;
}

export function clock(seconds) {
  const whole = Math.max(0, Math.round(seconds));
  const two = (n) => String(n).padStart(2, "0");
  const hours = Math.floor(whole / 3600);
  const minutes = Math.floor((whole % 3600) / 60);
  return hours ? `${hours}:${two(minutes)}:${two(whole % 60)}` : `${minutes}:${two(whole % 60)}`;
}

function write(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

function tick() {
  if (document.hidden) return;
  for (const time of document.querySelectorAll("time[data-ago], time[data-since], time[data-until]")) {
    const passed = (Date.now() - Date.parse(time.dateTime)) / 1000;
    if ("ago" in time.dataset) write(time, ago(passed));
    else write(time, clock("until" in time.dataset ? -passed : passed));
  }
}

setInterval(tick, 1000);
document.addEventListener("visibilitychange", tick);
