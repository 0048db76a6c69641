/* One stream a browser: the tab that holds the lock listens, the others hear it through a channel.
   Sends `traces-stored` to the body, at most twice a second, with {traces, sessions, steps}; `feed-changed`;
   `alerts-changed`, `approvals-changed` and `runs-changed` with {ids}, as far as they are known; and `live-state`. */
const SOURCE = "/stream";
const QUIET_MS = 500;
const RETRY_MS = [1000, 2000, 5000, 10000, 30000];

const channel = new BroadcastChannel("agentops-live");
let pending = null;
let failures = 0;

function flush() {
  const detail = { traces: [...pending.traces], sessions: [...pending.sessions], steps: pending.steps, at: pending.at };
  pending = null;
  document.body.dispatchEvent(new CustomEvent("traces-stored", { detail, bubbles: true }));
}

function stored(message) {
  if (!pending) {
    pending = { traces: new Set(), sessions: new Set(), steps: 0, at: null };
    setTimeout(flush, QUIET_MS);
  }
  for (const id of message.traces ?? []) pending.traces.add(id);
  for (const id of message.sessions ?? []) pending.sessions.add(id);
  pending.steps += message.steps ?? 1;
  pending.at = message.at ?? new Date().toISOString();
}

/* Twice a second at most, and always once more after the last of a burst. */
const due = new Map();
function changed(what, id) {
  if (!due.has(what)) {
    due.set(what, new Set());
    setTimeout(() => {
      const ids = [...due.get(what)];
      due.delete(what);
      document.body.dispatchEvent(new CustomEvent(`${what}-changed`, { detail: { ids }, bubbles: true }));
    }, QUIET_MS);
  }
  if (id) due.get(what).add(id);
}

function heard({ kind, message }) {
  if (kind === "stored") stored(message);
  /* What happened while nobody listened is unknown: the lists read themselves again. */
  if (kind === "hello" || kind === "connected") stored({ steps: 0 });
  if (kind === "hello" || kind === "connected" || kind === "feed") document.body.dispatchEvent(new CustomEvent("feed-changed", { bubbles: true }));
  for (const what of ["alerts", "approvals", "runs"]) {
    if (kind === "hello" || kind === "connected" || kind === what) changed(what, message.approval);
  }
  if (kind !== "stored") document.body.dispatchEvent(new CustomEvent("live-state", { detail: { kind, ...message }, bubbles: true }));
}

function tell(kind, message = {}) {
  channel.postMessage({ kind, message });
  heard({ kind, message });
}

function parsed(event) {
  try {
    return JSON.parse(event.data);
  } catch {
    return {};
  }
}

/* Resolves when the stream ends, so that the caller decides when to try again. */
function listen() {
  return new Promise((ended) => {
    const source = new EventSource(SOURCE);
    source.addEventListener("open", () => { failures = 0; tell("connected"); });
    source.addEventListener("hello", (event) => tell("hello", parsed(event)));
    source.addEventListener("stored", (event) => tell("stored", parsed(event)));
    source.addEventListener("alerts", (event) => tell("alerts", parsed(event)));
    source.addEventListener("approvals", (event) => tell("approvals", parsed(event)));
    source.addEventListener("runs", (event) => tell("runs", parsed(event)));
    source.addEventListener("feed", (event) => tell("feed", parsed(event)));
    source.addEventListener("error", () => { source.close(); ended(); });
  });
}

async function lead() {
  for (;;) {
    await listen();
    /* The server ends a stream every few minutes; only one that does not come back at once is a loss. */
    if (failures > 0) tell("lost");
    const wait = RETRY_MS[Math.min(failures, RETRY_MS.length - 1)];
    failures += 1;
    await new Promise((done) => setTimeout(done, wait * (0.75 + Math.random() / 2)));
  }
}

channel.addEventListener("message", (event) => heard(event.data));
if (document.querySelector("[data-pulse]")) {
  if (navigator.locks) navigator.locks.request("agentops-live", lead);
  else lead();
}
