/* Keep the page live: ask for the data every second, put the server's parts in place, and say how old they are. */
"use strict";

(() => {
  const INTERVAL_MS = 1000; // with the 0.75 seconds in which a server is found down, it shows within 2 seconds
  const TIMEOUT_MS = 5000;
  const title = document.title;
  const source = document.body.dataset.source;
  const connection = document.getElementById("connection");
  const age = document.getElementById("age");
  const pause = document.getElementById("pause");
  const form = document.getElementById("route-form");
  let paused = false;
  let timer = 0;
  let asking = null; // the AbortController of the request that is under way
  let question = new URLSearchParams(new FormData(form)); // as sent: not what a person is typing
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
    const findings = document.querySelectorAll(".findings li").length;
    document.title = findings ? `(${findings}) ${title}` : title;
    document.body.classList.remove("old");
    age.textContent = "";
    say(paused ? "Paused" : "Live", paused ? "neutral" : "good");
  }

  function fail(error) {
    document.body.classList.add("old");
    say(error.message === "signed out" ? "Signed out. Load the page again to sign in." : "Connection lost.", "error");
    age.textContent = `${Math.round((Date.now() - received) / 1000)} s old`;
  }

  /* Return the data, or the error for which there are none. */
  async function answer(signal) {
    try {
      const response = await fetch(`${source}?parts&${question}`, { signal, redirect: "manual" });
      if (response.type === "opaqueredirect" || [401, 403].includes(response.status)) return new Error("signed out");
      return response.ok ? await response.json() : new Error(`status ${response.status}`);
    } catch (error) {
      return error;
    }
  }

  async function ask() {
    clearTimeout(timer);
    asking?.abort();
    const controller = new AbortController();
    asking = controller;
    const patience = setTimeout(() => controller.abort(), TIMEOUT_MS);
    const data = await answer(controller.signal);
    clearTimeout(patience);
    if (asking !== controller) return; // a newer request is under way
    asking = null;
    if (!paused && !document.hidden) timer = setTimeout(ask, INTERVAL_MS);
    if (data instanceof Error) fail(data);
    else show(data);
  }

  pause.hidden = false;
  pause.addEventListener("click", () => {
    paused = !paused;
    pause.setAttribute("aria-pressed", String(paused));
    clearTimeout(timer);
    if (paused) say("Paused", "neutral");
    else ask();
  });

  function pose(event) {
    event.preventDefault();
    question = new URLSearchParams(new FormData(form));
    history.replaceState(null, "", `?${question}`);
    ask();
  }

  form.addEventListener("submit", pose);
  form.addEventListener("change", pose);

  document.addEventListener("visibilitychange", () => {
    if (document.hidden) clearTimeout(timer);
    else if (!paused) ask();
  });

  document.documentElement.classList.add("scripted");
  ask();
})();
