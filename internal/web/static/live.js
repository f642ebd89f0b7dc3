// Keeps the page of a run up to date: the house says that its journal has grown, and the page is asked for again. Without it a
// link does the same.
"use strict";
(() => {
  const live = document.querySelector("[data-stream]");
  if (!live || !window.EventSource) return;
  let busy = false, again = false, over = false;
  const refresh = async () => {
    if (busy) { again = true; return; }
    busy = true;
    try {
      const answer = await fetch(location.href, { redirect: "error" });
      if (answer.ok) {
        const next = new DOMParser().parseFromString(await answer.text(), "text/html");
        // Forms are left alone until they are of no use, but for one in which nothing is filled in: what it does follows from what others did.
        for (const part of document.querySelectorAll(over ? "[data-part], [data-until-over]" : "[data-part]")) {
          const fresh = next.getElementById(part.id);
          // What somebody holds with the keyboard stays until they leave it.
          if (fresh && !part.contains(document.activeElement)) part.replaceWith(document.importNode(fresh, true));
        }
      }
    } catch { /* the next word of the house begins it anew */ }
    busy = false;
    if (again) { again = false; refresh(); }
  };
  const source = new EventSource(live.dataset.stream);
  source.addEventListener("new", refresh);
  source.addEventListener("over", () => { over = true; source.close(); refresh(); });
})();
