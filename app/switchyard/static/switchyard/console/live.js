/* Keep the page live: ask for the data every two seconds, put the server's parts in place, and say how old they are. */
"use strict";

(() => {
  const INTERVAL_MS = 2000;
  const TIMEOUT_MS = 5000;
  const source = document.body.dataset.source;
  const connection = document.getElementById("connection");
  const age = document.getElementById("age");
  const pause = document.getElementById("pause");
  const form = document.getElementById("route-form");
  let paused = false;
  let timer = 0;
  let asking = null; // the AbortController of the request that is under way
  let received = Date.now(); // when the numbers on the page came

  const keepCharts = {
    morphStyle: "innerHTML",
    callbacks: {
      // A chart draws itself, and a reader opens and closes the details.
      beforeNodeMorphed: (old) => !old.classList?.contains("chart"),
      beforeAttributeUpdated: (name, node) => !(name === "open" && node.tagName === "DETAILS"),
    },
  };

  function say(text, level) {
    if (connection.textContent !== text) connection.textContent = text;
    connection.className = `state ${level}`;
  }

  function show(data) {
    received = Date.now();
    for (const [name, html] of Object.entries(data.parts)) {
      Idiomorph.morph(document.getElementById(name), html, keepCharts);
    }
    document.dispatchEvent(new CustomEvent("switchyard:data", { detail: data }));
    document.body.classList.remove("old");
    age.textContent = "";
    say(paused ? "Paused" : "Live", paused ? "neutral" : "good");
  }

  function fail(error) {
    document.body.classList.add("old");
    say(error.message === "signed out" ? "Signed out. Load the page again to sign in." : "Connection lost.", "error");
    age.textContent = `${Math.round((Date.now() - received) / 1000)} s old`;
  }

  async function ask() {
    clearTimeout(timer);
    asking?.abort();
    const controller = new AbortController();
    asking = controller;
    const patience = setTimeout(() => controller.abort(), TIMEOUT_MS);
    const query = new URLSearchParams(new FormData(form));
    query.set("parts", "");
    try {
      const response = await fetch(`${source}?${query}`, { signal: controller.signal, redirect: "manual" });
      if (response.type === "opaqueredirect" || [401, 403].includes(response.status)) throw new Error("signed out");
      if (!response.ok) throw new Error(`status ${response.status}`);
      const data = await response.json();
      if (asking === controller) show(data);
    } catch (error) {
      if (asking === controller) fail(error);
    } finally {
      clearTimeout(patience);
      if (asking === controller) {
        asking = null;
        if (!paused && !document.hidden) timer = setTimeout(ask, INTERVAL_MS);
      }
    }
  }

  pause.hidden = false;
  pause.addEventListener("click", () => {
    paused = !paused;
    pause.setAttribute("aria-pressed", String(paused));
    clearTimeout(timer);
    if (paused) say("Paused", "neutral");
    else ask();
  });

  form.addEventListener("submit", (event) => {
    event.preventDefault();
    ask();
  });
  form.addEventListener("change", () => {
    history.replaceState(null, "", `?${new URLSearchParams(new FormData(form))}`);
    ask();
  });

  document.addEventListener("visibilitychange", () => {
    if (document.hidden) clearTimeout(timer);
    else if (!paused) ask();
  });

  document.documentElement.classList.add("scripted");
  ask();
})();
