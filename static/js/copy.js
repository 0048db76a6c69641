/* Copies the value of data-copy, or the text of the element that data-copy-from names, and says so for a moment. */
const SAID_MS = 1500;

async function copy(button) {
  const source = button.dataset.copyFrom ? document.getElementById(button.dataset.copyFrom) : null;
  const text = source ? source.textContent : button.dataset.copy;
  const words = button.querySelector("span");
  const before = words?.textContent;
  try {
    await navigator.clipboard.writeText(text);
    say(button, words, "Copied");
  } catch {
    say(button, words, "Not allowed");
  }
  setTimeout(() => say(button, words, before), SAID_MS);
}

function say(button, words, text) {
  if (words) words.textContent = text;
  else button.ariaLabel = text ?? "Copy";
}

document.addEventListener("click", (event) => {
  const button = event.target.closest("[data-copy], [data-copy-from]");
  if (button) copy(button);
});
