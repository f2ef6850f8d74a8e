/* The charts of the aliases: queries a second, the operations stacked. Draws what live.js has received. */
"use strict";

(() => {
  const OPERATIONS = ["read", "write", "ddl", "tx", "other"];
  const DRAWN = [...OPERATIONS].reverse(); // uPlot draws the first series first, so the highest edge comes first
  const HEIGHT = 88;
  const charts = new Map(); // alias -> uPlot
  let newest = null;

  function resolved(name) {
    // A canvas does not know light-dark(): let an element compute it.
    const probe = document.body.appendChild(document.createElement("i"));
    probe.className = `probe ${name}`;
    const value = getComputedStyle(probe).color;
    probe.remove();
    return value;
  }

  /* Return each operation's upper edge, from the sum of all down to the first. */
  function stacked(data, alias) {
    const sums = data.times.map(() => 0);
    const edges = OPERATIONS.map((operation) =>
      (alias.queries_per_second[operation] ?? []).map((value, at) => (value === null ? null : (sums[at] += value))),
    );
    return withGaps([data.times, ...edges.reverse()], data.interval_seconds);
  }

  /* Where nothing was recorded for a while, put an unknown value, so that no line leads over it. */
  function withGaps(series, interval) {
    const times = series[0];
    const jumps = times.map((time, at) => at && time - times[at - 1] > 2.5 * interval);
    return series.map((values, row) =>
      values.flatMap((value, at) => (jumps[at] ? [row ? null : times[at - 1] + interval / 2, value] : [value])),
    );
  }

  function options(element, width) {
    const quiet = resolved("quiet");
    const line = resolved("line");
    const axis = { stroke: quiet, font: "10px system-ui", grid: { stroke: line, width: 1 }, ticks: { show: false } };
    return {
      width,
      height: HEIGHT,
      legend: { show: false },
      padding: [6, 4, 0, 0],
      cursor: { y: false, sync: { key: "aliases" }, points: { show: false }, drag: { x: false, y: false } },
      scales: { x: { range: () => newest.range }, y: { range: (_, __, high) => [0, Math.max(1, high * 1.1)] } },
      axes: [
        { ...axis, size: 18, gap: 2, space: 70, values: (_, splits) => splits.map(clock) },
        { ...axis, size: 34, gap: 4, space: 26, values: (_, splits) => splits.map((value) => value.toLocaleString("en")) },
      ],
      series: [
        {},
        ...DRAWN.map((operation) => {
          const stroke = resolved(operation);
          return { stroke, fill: stroke, width: 1, points: { show: false }, spanGaps: false };
        }),
      ],
      hooks: { setCursor: [(chart) => point(element, chart)] },
    };
  }

  function clock(seconds) {
    return new Date(seconds * 1000).toISOString().slice(11, 16);
  }

  /* Say the values under the pointer in the chart's corner: each is the distance between two edges. */
  function point(element, chart) {
    const at = chart.cursor.idx;
    const note = element.querySelector(".note");
    const [times, ...edges] = chart.data.map((values) => values[at ?? -1]);
    if (times === undefined || edges[0] === null) return void (note.textContent = "");
    const lower = [...edges.slice(1), 0];
    const rates = edges.map((edge, row) => {
      const rate = edge - lower[row];
      return rate > 0 ? `${DRAWN[row]} ${rate.toFixed(1)}` : "";
    });
    const time = new Date(times * 1000).toISOString().slice(11, 19);
    note.textContent = [time, ...rates.reverse()].filter(Boolean).join("  ");
  }

  function draw(element) {
    const alias = newest.aliases.find((each) => each.alias === element.dataset.alias);
    if (!alias || element.clientWidth < 80) return;
    const values = stacked(newest, alias);
    const chart = charts.get(alias.alias);
    if (chart) return void chart.setData(values);
    element.replaceChildren(Object.assign(document.createElement("span"), { className: "note" }));
    charts.set(alias.alias, new uPlot(options(element, element.clientWidth), values, element));
  }

  function drawAll() {
    for (const element of document.querySelectorAll(".chart")) draw(element);
  }

  function forget() {
    for (const chart of charts.values()) chart.destroy();
    charts.clear();
    if (newest) drawAll();
  }

  const widths = new ResizeObserver((entries) => {
    for (const { target } of entries) {
      const chart = charts.get(target.dataset.alias);
      if (chart && chart.width !== target.clientWidth) chart.setSize({ width: target.clientWidth, height: HEIGHT });
    }
  });

  document.addEventListener("switchyard:data", ({ detail }) => {
    const end = detail.times.at(-1) ?? detail.at;
    newest = { ...detail, range: [end - 900, end] };
    drawAll();
    for (const element of document.querySelectorAll(".chart")) widths.observe(element);
  });
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", forget);
})();
