/* A button with data-open-dialog="id" opens that <dialog>; the browser keeps the focus inside and Escape closes it. */
export function open(id) {
  const dialog = document.getElementById(id);
  if (dialog && !dialog.open) dialog.showModal();
}

document.addEventListener("click", (event) => {
  const opener = event.target.closest("[data-open-dialog]");
  if (opener) {
    event.preventDefault();
    opener.closest("details.menu")?.removeAttribute("open");
    open(opener.dataset.openDialog);
  }
  if (event.target.matches?.("dialog")) event.target.close();
});
