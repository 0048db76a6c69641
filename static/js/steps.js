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

document.addEventListener("htmx:beforeRequest", (event) => event.detail.target?.classList.add("loading"));
document.addEventListener("htmx:afterRequest", (event) => event.detail.target?.classList.remove("loading"));
document.addEventListener("htmx:afterSwap", (event) => {
  if (event.detail.target?.id === "detail") event.detail.target.closest(".stay")?.scrollTo(0, 0);
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
