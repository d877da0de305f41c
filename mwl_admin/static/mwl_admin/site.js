// What the site's pages need beside htmx. No step here is needed to read a page.
"use strict";

// The site's policy forbids eval, and styles that are written into the page.
htmx.config.allowEval = false;
htmx.config.includeIndicatorStyles = false;

/** Whether the list may be replaced now: not while a menu is open in it, and not for nobody. */
function mayRefresh() {
  return !document.hidden && !document.querySelector("#list details[open], #dialog[open]");
}

// The page is hidden until its scripts have run, by when the browser may have given up on autofocus.
document.addEventListener("alpine:initialized", () =>
  setTimeout(() => {
    if (document.activeElement === document.body) document.querySelector("[autofocus]")?.focus();
  }, 0),
);

document.addEventListener("htmx:configRequest", (event) => {
  const token = document.querySelector("meta[name=csrf-token]");
  if (token) event.detail.headers["X-CSRFToken"] = token.content;
  event.detail.headers["X-Page-Query"] = window.location.search;
  if (event.detail.elt.hasAttribute("data-refresh") || event.detail.elt.id === "list") {
    event.detail.headers["X-Refresh"] = "1"; // does not prolong the session
    const bidden = Boolean(event.detail.triggeringEvent);
    if (!bidden && !mayRefresh()) event.preventDefault();
  }
});

// Not sooner: until then the form in it is not htmx's yet, and Enter would send it as any form.
document.addEventListener("htmx:afterSettle", (event) => {
  const dialog = document.getElementById("dialog");
  if (!dialog) return;
  if (event.detail.target.id === "dialog-content" && !dialog.open) {
    dialog.showModal();
    const first = dialog.querySelector("[autofocus]");
    if (first) first.focus();
  }
});

document.addEventListener("htmx:afterRequest", (event) => {
  if (event.detail.successful && event.detail.elt.closest && event.detail.elt.closest("[data-closes-dialog]")) {
    document.getElementById("dialog").close();
  }
});

document.addEventListener("click", (event) => {
  if (event.target.closest("[data-print]")) window.print();
  if (event.target.closest("[data-close]")) event.target.closest("dialog").close();
  for (const menu of document.querySelectorAll("details.g-menu[open]")) {
    if (!menu.contains(event.target) || event.target.closest(".g-menu-items button")) menu.open = false;
  }
});

document.addEventListener("keydown", (event) => {
  if (event.key !== "Escape") return;
  for (const menu of document.querySelectorAll("details.g-menu[open]")) {
    menu.open = false;
    menu.querySelector("summary").focus();
  }
});

// What was done is told for a while; taking it back stays possible in the line itself.
let noticeTimer = null;
document.addEventListener("htmx:oobAfterSwap", (event) => {
  if (event.detail.target.id !== "notice") return;
  clearTimeout(noticeTimer);
  noticeTimer = setTimeout(() => document.getElementById("notice").replaceChildren(), 15000);
});

// The search fields (select2) do not name themselves to screen readers; they get the name of the field they stand for.
function nameSearchFields() {
  for (const select of document.querySelectorAll("select.admin-autocomplete")) {
    const container = select.nextElementSibling;
    if (!container || !container.classList.contains("select2-container")) continue;
    const label = document.querySelector(`label[for="${select.id}"]`);
    const name = label ? label.textContent.trim() : select.name;
    for (const part of container.querySelectorAll("[role=combobox], [role=textbox], .select2-search__field")) {
      part.setAttribute("aria-label", name);
      if (part.getAttribute("role") !== "textbox") part.removeAttribute("aria-labelledby");
    }
  }
}

document.addEventListener("DOMContentLoaded", () => {
  // Among the items of a list, its button to clear them all is no item.
  for (const select of document.querySelectorAll("select.admin-autocomplete[multiple]")) {
    select.dataset.allowClear = "false";
  }
  if (window.django && django.jQuery) {
    django.jQuery(document).on("change", "select.admin-autocomplete", () => setTimeout(nameSearchFields, 0));
    django.jQuery(document).on("select2:open", () => {
      for (const box of document.querySelectorAll(".select2-container--open [role=combobox][aria-owns]")) {
        box.setAttribute("aria-controls", box.getAttribute("aria-owns")); // ARIA 1.2 asks for this one
      }
      for (const field of document.querySelectorAll(".select2-dropdown .select2-search__field")) {
        const named = document.querySelector(".select2-container--open [aria-label]");
        field.setAttribute("aria-label", named?.getAttribute("aria-label") || "");
      }
    });
  }
});
// The hints beside the boxes of a double list are pictures with a name, and have to say that they are.
window.addEventListener("load", () =>
  setTimeout(() => {
    for (const icon of document.querySelectorAll(".search-label-icon[aria-label]:not([role])")) {
      icon.setAttribute("role", "img");
    }
  }, 0),
);
window.addEventListener("load", () => setTimeout(nameSearchFields, 0));
document.addEventListener("formset:added", () => setTimeout(nameSearchFields, 0));

// The theme opens the menu, closes it, and opens the account's menu in it, by elements that only a mouse reaches.
document.addEventListener("DOMContentLoaded", () => {
  // A page without the texts (`texts.js`) says it in English.
  const gettext = window.gettext ?? ((text) => text);
  const openers = "#header-inner span[x-on\\:click]";
  const others = "#nav-sidebar span[x-on\\:click], #nav-sidebar div[x-on\\:click]";
  /** What is reached from here: what was opened, or what had opened it. */
  function reachedFrom(control) {
    if (control.matches(openers)) return document.querySelectorAll("#nav-sidebar a");
    if (control.tagName === "SPAN") return document.querySelectorAll(openers);
    return control.parentElement.querySelectorAll("nav a, nav button");
  }
  for (const control of document.querySelectorAll(`${openers}, ${others}`)) {
    control.setAttribute("role", "button");
    control.setAttribute("tabindex", "0");
    if (control.matches(openers)) control.setAttribute("aria-label", gettext("Menu"));
    else if (control.tagName === "SPAN") control.setAttribute("aria-label", gettext("Close the menu"));
    control.addEventListener("keydown", (event) => {
      if (event.target !== control || (event.key !== "Enter" && event.key !== " ")) return;
      event.preventDefault();
      control.click();
      const next = reachedFrom(control);
      setTimeout(() => [...next].find((element) => element.checkVisibility())?.focus(), 0);
    });
  }
});
