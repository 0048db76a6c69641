/* Copies the value of data-copy, the text of the element that data-copy-from names, or what data-copy-url answers, and
   says so for a moment. */
const SAID_MS = 1500;

async function copy(button) {
  const words = button.querySelector("span");
  const before = words?.textContent;
  try {
    await navigator.clipboard.writeText(await textOf(button.dataset));
    say(button, words, "Copied");
  } catch {
    say(button, words, "Not allowed");
  }
  setTimeout(() => say(button, words, before), SAID_MS);
}

async function textOf({ copy, copyFrom, copyUrl }) {
  if (copyFrom) return document.getElementById(copyFrom).textContent;
  if (!copyUrl) return copy;
  const answer = await fetch(copyUrl);
  if (!answer.ok) throw new Error(`status ${answer.status}`);
  return answer.text();
}

function say(button, words, text) {
  if (words) words.textContent = text;
  else button.ariaLabel = text ?? "Copy";
}

document.addEventListener("click", (event) => {
  const button = event.target.closest("[data-copy], [data-copy-from], [data-copy-url]");
  if (button) copy(button);
});
