/* The page of a decision. Approve does nothing for its first seconds, so that no click meant for something else hits it;
   Edit opens its form; a change by somebody else is said. The server checks all of it again. */
function hold(button) {
  const release = () => button.removeAttribute("aria-disabled");
  button.setAttribute("aria-disabled", "true");
  setTimeout(release, Number(button.dataset.inertMs));
}

for (const button of document.querySelectorAll("[data-inert-ms]")) hold(button);

document.addEventListener("click", (event) => {
  if (event.target.closest('[data-inert-ms][aria-disabled="true"]')) event.preventDefault();
  const opener = event.target.closest("[data-opens]");
  const part = opener && document.getElementById(opener.dataset.opens);
  if (!part || event.ctrlKey || event.metaKey) return;
  event.preventDefault();
  part.open = true;
  part.scrollIntoView({ block: "start" });
  part.querySelector("input:not([type='hidden']), textarea, select")?.focus({ preventScroll: true });
});

document.body.addEventListener("approvals-changed", ({ detail }) => {
  const banner = document.querySelector("[data-changed]");
  if (banner && detail?.ids.includes(banner.dataset.changed) && document.querySelector(".decide [data-deadline]")) banner.hidden = false;
});
