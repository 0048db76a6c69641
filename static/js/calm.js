/* A part that refreshes itself (data-calm) waits while somebody is in it with the keyboard, or has text selected. */
document.addEventListener("htmx:beforeRequest", (event) => {
  const part = event.target;
  if (!("calm" in (part.dataset ?? {}))) return;
  const selection = document.getSelection();
  const isReading = !selection.isCollapsed && part.contains(selection.anchorNode);
  if (isReading || part.contains(document.activeElement)) event.preventDefault();
});
