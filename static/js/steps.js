/* The chosen step of a run: marks its row at once while htmx fetches its detail, and keeps the row in view. */
export function choose(row) {
  for (const other of document.querySelectorAll('.step[aria-current="true"]')) other.ariaCurrent = null;
  row.ariaCurrent = "true";
  row.scrollIntoView({ block: "nearest" });
}

document.addEventListener("click", (event) => {
  const row = event.target.closest(".step[hx-get]");
  if (row && !event.ctrlKey && !event.metaKey && !event.shiftKey) choose(row);
});

/* A run that goes on says so, and moves nothing. */
document.body.addEventListener("traces-stored", ({ detail }) => {
  const banner = document.querySelector("[data-new-steps]");
  if (banner && detail.traces.includes(banner.dataset.newSteps)) banner.hidden = false;
});

/* Only what somebody asked for steps back until it is there; a part that refreshes itself is read meanwhile. */
document.addEventListener("htmx:beforeRequest", ({ detail }) => detail.target?.classList.toggle("loading", detail.target.id === "detail"));
document.addEventListener("htmx:afterRequest", ({ detail }) => detail.target?.classList.remove("loading"));
document.addEventListener("htmx:afterSwap", (event) => {
  if (event.detail.target?.id !== "detail") return;
  const pane = event.detail.target.closest(".stay");
  pane.scrollTo(0, 0);
  /* Its name is read aloud, not its whole body. */
  const head = event.detail.target.querySelector(".detail-head");
  document.getElementById("said").textContent = head ? `Step ${head.querySelector(".number").textContent}, ${head.querySelector("h2").textContent}` : "";
  if (getComputedStyle(pane).position === "static") pane.scrollIntoView({ block: "start" });
});
/* What failed is said where it was asked for: never a silent click. */
document.addEventListener("htmx:responseError", (event) => complain(event, `The server answered ${event.detail.xhr.status}.`));
document.addEventListener("htmx:sendError", (event) => complain(event, "The server cannot be reached."));

function complain(event, words) {
  const banner = document.createElement("div");
  banner.className = "banner";
  banner.dataset.tone = "bad";
  banner.role = "alert";
  banner.textContent = `${words} Nothing was changed; try again.`;
  event.detail.target?.prepend(banner);
}

/* An address that names a step shows it. */
document.querySelector('.step[aria-current="true"]')?.scrollIntoView({ block: "center" });
