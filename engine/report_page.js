// Says time and value under the pointer in all plots of an input. The page is whole without it.
for (const input of document.querySelectorAll("section")) {
  const plots = [...input.querySelectorAll(".timeline .plot")].map((plot) => {
    const svg = plot.querySelector("svg"), of = svg.dataset, height = svg.viewBox.baseVal.height;
    const points = [...svg.querySelector(".line").getAttribute("d").matchAll(/[ML]([-\d.]+) ([-\d.]+)/g)].map((m) => [+m[1], +m[2]]);
    const cursor = document.createElement("i");
    cursor.className = "cursor";
    cursor.hidden = true;
    plot.append(cursor);
    return { plot, of, height, points, cursor, output: plot.parentNode.querySelector("output") };
  });
  const clock = (at) => { const m = Math.floor(at / 60), s = (at % 60).toFixed(2); return m ? `${m}:${s.padStart(5, "0")}` : `${s} s`; };
  const show = (share) => {
    for (const { of, height, points, cursor, output } of plots) {
      cursor.hidden = share === null;
      if (share === null) { output.textContent = ""; continue; }
      cursor.style.left = `${share * 100}%`;
      let [best] = points;
      for (const point of points) if (Math.abs(point[0] - share * 1000) < Math.abs(best[0] - share * 1000)) best = point;
      const value = +of.high - (best[1] / height) * (of.high - of.low), at = +of.since + share * (of.until - of.since);
      output.textContent = `${Number(value.toPrecision(3))} at ${clock(at)}`;
    }
  };
  for (const { plot } of plots) {
    plot.addEventListener("pointermove", (event) => { const box = plot.getBoundingClientRect(); show((event.clientX - box.left) / box.width); });
    plot.addEventListener("pointerleave", () => show(null));
  }
}
