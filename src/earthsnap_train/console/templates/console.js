"use strict";
// Puts the figures of a page anew every two seconds while somebody looks. Without this script the page loads itself anew.
const box = document.querySelector("[data-refresh]");

function parts(of) {
  return new Map(Array.from(of.querySelectorAll("[data-part]"), (part) => [part.dataset.part, part]));
}

function put(fresh) {
  const [shown, wanted] = [parts(box), parts(fresh)];
  if ([...shown.keys()].join() !== [...wanted.keys()].join()) {
    box.replaceChildren(...fresh.childNodes);
    return;
  }
  for (const [name, part] of wanted) {
    const old = shown.get(name);
    // What is the same stays, with the focus in it and the details that somebody opened.
    if (old.dataset.was !== part.innerHTML) {
      if (old.dataset.was !== undefined || old.innerHTML !== part.innerHTML) old.replaceChildren(...part.cloneNode(true).childNodes);
      old.dataset.was = part.innerHTML;
    }
  }
}

async function refresh() {
  if (document.visibilityState === "visible") {
    try {
      const answer = await fetch(box.dataset.refresh, { redirect: "manual" });
      if (answer.type === "opaqueredirect") location.reload(); // signed out meanwhile
      if (answer.ok) put(new DOMParser().parseFromString(await answer.text(), "text/html").body);
    } catch {
      // the console is away for a moment
    }
  }
  setTimeout(refresh, 2000);
}

if (box) setTimeout(refresh, 2000);
