// Takes the code of a link from behind the address's #, which no browser sends, into the form, and out of the address. The form is sent by whoever reads the page.
"use strict";
const take = () => {
  const field = document.getElementById("code");
  if (!field || location.hash.length < 2) return;
  field.value = location.hash.slice(1);
  history.replaceState(null, "", location.pathname);
};
take();
addEventListener("hashchange", take);
