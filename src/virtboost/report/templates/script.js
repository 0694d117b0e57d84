"use strict";
{
  const root = document.documentElement;
  for (const part of document.querySelectorAll(".js")) part.hidden = false;

  document.querySelector(".theme").addEventListener("click", () => {
    const now = root.dataset.theme ?? (matchMedia("(prefers-color-scheme: dark)").matches ? "dark" : "light");
    root.dataset.theme = now === "dark" ? "light" : "dark";
  });

  for (const form of document.querySelectorAll(".filters")) {
    const rows = form.parentElement.querySelectorAll(".rows tbody tr");
    form.addEventListener("change", () => {
      const shown = new Set(Array.from(form.querySelectorAll(":checked"), (box) => box.value));
      const platform = form.platform.value;
      for (const row of rows) {
        const platforms = row.dataset.platforms.split(" ");
        row.hidden = !shown.has(row.dataset.severity) || (platform !== "" && !platforms.includes(platform));
      }
    });
  }

  for (const host of document.querySelectorAll(".host")) {
    const figure = host.querySelector(".picture");
    let chosen = null;
    const light = (tag) => {
      figure.classList.toggle("lit", tag !== null);
      for (const part of host.querySelectorAll("[data-w]")) {
        part.classList.toggle("on", part.dataset.w === tag);
      }
    };
    const tagOf = (event) => event.target.closest?.("[data-w]")?.dataset.w ?? chosen;
    host.addEventListener("pointerover", (event) => light(tagOf(event)));
    host.addEventListener("focusin", (event) => light(tagOf(event)));
    host.addEventListener("focusout", () => light(chosen));
    host.addEventListener("click", (event) => {
      const button = event.target.closest("button[data-w]");
      if (!button) return;
      chosen = chosen === button.dataset.w ? null : button.dataset.w;
      for (const other of host.querySelectorAll("button[data-w]")) {
        other.setAttribute("aria-pressed", String(other.dataset.w === chosen));
      }
      light(chosen);
    });
  }
  root.dataset.ready = "yes";
}
