// B. Through time, and C. how far back; and the line chart that C and the training run share.
const DASHES = ["", "4 3", "1 3", "8 3 2 3", "10 4"];
// Labels at the end of each curve, pushed apart where they would overlap.
function apart(ys, gap, low, high) {
  const order = ys.map((y, i) => [y, i]).sort((a, b) => a[0] - b[0]),
    out = [];
  order.forEach(([y, i], n) => {
    out[i] = n ? max(y, out[order[n - 1][1]] + gap) : max(y, low);
  });
  const over = max(0, ...out) - high;
  if (over > 0)
    for (let n = order.length - 1, top = high; n >= 0; n--) {
      out[order[n][1]] = Math.min(out[order[n][1]], top);
      top = out[order[n][1]] - gap;
    }
  return out;
}
function ticks(low, high, n = 4) {
  const raw = (high - low) / n || 1,
    ten = 10 ** Math.floor(Math.log10(raw)),
    size = [1, 2, 5, 10].map(k => k * ten).find(k => k >= raw);
  const out = [];
  for (let y = Math.ceil(low / size) * size; y <= high + 1e-9 * size; y += size) out.push(+y.toPrecision(8));
  return out;
}
// curves: [{name, points: [[x, y]...]}]; powers: y is a logarithm; reach: x that the axis has at least.
function chart({ curves, title, x: across, reach = [], powers = false, mark = null, low: floor = -Infinity, height = 260 }) {
  const narrow = innerWidth < 600,
    w = narrow ? 400 : 640,
    noted = curves.some(c => c.note);
  const left = 62,
    right = noted ? (narrow ? 165 : 190) : 130,
    top = 14,
    bottom = 36,
    all = curves.flatMap(c => c.points).filter(p => isFinite(p[1]) && p[1] >= floor);
  const xs = [...reach, ...all.map(p => p[0])],
    ys = all.map(p => p[1]),
    [x0, x1] = [min(...xs, Infinity), max(...xs, -Infinity)],
    flat = all.length && min(...ys) === max(...ys) ? abs(ys[0]) / 2 || 1 : 0,
    [y0, y1] = all.length ? [min(...ys) - flat, max(...ys) + flat] : [0, 1];
  const span = y1 - y0,
    px = x => left + ((w - left - right) * (x - x0)) / (x1 - x0 || 1),
    py = y => top + ((height - top - bottom) * (y1 - y)) / span;
  const shown = curves
    .map(c => ({ ...c, points: c.points.filter(p => isFinite(p[1]) && p[1] >= floor) }))
    .filter(c => c.points.length);
  const places = apart(
    shown.map(c => py(c.points.at(-1)[1]) + 4),
    30,
    top + 8,
    height - bottom - 4,
  );
  return html`<figure><svg viewBox="0 0 ${w} ${height}" role="img"
    aria-label=${`${title}. ${curves.map(c => `${c.name} ${c.note ?? ""}`).join("; ")}`}>
    ${ticks(y0, y1).map(
      y => svg`<line class="grid" x1=${left} x2=${w - right} y1=${py(y)} y2=${py(y)}></line>
      <text class="tick" x=${left - 6} y=${py(y) + 4} text-anchor="end">${
        powers
          ? svg`10<tspan class="power"
        dy="-5">${String(y).replace("-", "−")}</tspan>`
          : String(y).replace("-", "−")
      }</text>`,
    )}
    ${ticks(x0, x1).map(
      x => svg`<text class="tick" x=${px(x)} y=${height - bottom + 16}
      text-anchor="middle">${x}</text>`,
    )}<text class="tick" x=${(left + w - right) / 2} y=${height - 4}
        text-anchor="middle">${across}</text>
    ${mark === null ? nothing : svg`<line class="mark" x1=${px(mark)} x2=${px(mark)} y1=${top} y2=${height - bottom}></line>`}
    ${shown.map(
      (c, i) => svg`<polyline class=${"line s" + i} stroke-dasharray=${DASHES[i] || "none"}
        points=${c.points.map(p => `${px(p[0]).toFixed(1)},${py(p[1]).toFixed(1)}`).join(" ")}></polyline>
      <path class=${"lead s" + i}
        d="M${px(c.points.at(-1)[0]) + 2} ${py(c.points.at(-1)[1])}L${w - right + 14} ${places[i] - 4}"></path>
      <text class="tick strong" x=${w - right + 17} y=${places[i]}>${c.name}</text>
        <text class="tick" x=${w - right + 17} y=${places[i] + 13}>${c.note ?? ""}</text>`,
    )}</svg></figure>`;
}
let paths = [null, null];
const pathsOf = r => {
  if (paths[0] !== r) paths = [r, split(r.cell, r.steps, r)];
  return paths[1];
};
function sectionTime(r, right) {
  const parts = pathsOf(right),
    names = [...new Set(parts.flatMap(Object.keys))].sort(
      (a, b) => ORDER.indexOf(a.split(" ")[0]) - ORDER.indexOf(b.split(" ")[0]) || (a < b ? -1 : 1),
    );
  const signal = r.cell.signal,
    j = unitOf(r.steps[0][signal]),
    total = right.ds.map(z => z.d[signal][j]),
    way = direct(r.cell, r.steps, right.ds.at(-1).d[signal]);
  const heights = parts.map(p => [1, -1].map(s => Object.values(p).reduce((n, a) => n + max(0, s * a[j]), 0))),
    [up, down] = [0, 1].map(i => max(...heights.map(h => h[i]), 0)),
    most = up + down || 1;
  const w = max(26, 560 / r.T),
    left = 74,
    H = 220,
    y = n => 10 + ((up - n) / most) * (H - 20),
    share = way[0] ? way.map((a, t) => a[j] / total[t]) : null;
  const shapes = names.map(() => ""),
    captions = [];
  parts.forEach((p, t) => {
    let above = 0,
      below = 0;
    names.forEach((name, i) => {
      const a = p[name]?.[j];
      if (!a) return;
      const from = a > 0 ? above : below,
        x = left + t * w + 3;
      if (a > 0) above += a;
      else below += a;
      const [y0, y1] = [y(from), y(from + a)];
      shapes[i] += `M${x} ${y0}h${w - 6}V${y1}h${6 - w}z`;
      if (w > 60 && abs(y1 - y0) > 15)
        captions.push(svg`<text class="in" x=${x + 7} y=${(y0 + y1) / 2 + 4}>${name}</text>`);
    });
  });
  const dots = total.map((a, t) => `M${left + (t + 0.5) * w - 3.5} ${y(a)}a3.5 3.5 0 1 0 7 0a3.5 3.5 0 1 0-7 0`);
  return html`<section id="B" aria-labelledby="B-title"><h2 id="B-title">${say("B")}</h2>
    <p>${say("B text", { name: signal, unit: j + 1 })}</p>
    <div class="scroll" tabindex="0" role="region" aria-label=${say("B region", { name: signal })}>
      <svg class="wide" viewBox="0 0 ${left + r.T * w + 8} ${H + 34}" width=${left + r.T * w + 8} height=${H + 34}
        role="group" aria-label=${say("B region", { name: signal })}>
      ${ticks(-down, up).map(q => svg`<line class=${q ? "grid" : "axis"} x1=${left} x2=${left + r.T * w} y1=${y(q)} y2=${y(q)}></line><text class="tick" x=${left - 6} y=${y(q) + 4} text-anchor="end">${show(q)}</text>`)}
      ${shapes.map((d, i) => svg`<path class=${"part p" + (i % 8)} d=${d}></path>`)}${captions}${
        share
          ? svg`<polyline class="line direct"
        points=${way.map((a, t) => `${left + (t + 0.5) * w},${y(max(-down, min(up, a[j])))}`).join(" ")}></polyline>`
          : nothing
      }
      <path class="total" d=${dots.join("")}></path>
      ${total.map(
        (a, t) => svg`<g role="button" tabindex="0" class=${"column" + (t === S.t ? " now" : "")} aria-label=${say(
          "B column",
          {
            t: t + 1,
            n: show(a),
            parts: names
              .filter(n => parts[t][n])
              .map(n => `${n} ${show(parts[t][n][j])}`)
              .join(", "),
          },
        )} @click=${() => set({ t })} @keydown=${e => {
          if (e.key === "Enter" || e.key === " ") {
            e.preventDefault();
            set({ t });
          }
        }}>
        <rect x=${left + t * w} y="0" width=${w}
          height=${H + 24}></rect>${
            r.T <= 24 || t % 10 === 9 || t === 0
              ? svg`<text class="tick"
            x=${left + (t + 0.5) * w} y=${H + 16} text-anchor="middle">${t + 1}</text>`
              : nothing
          }</g>`,
      )}</svg></div>
    <ul class="legend">${names.map(
      (n, i) => html`<li><svg width="16" height="16" aria-hidden="true">
      <rect class=${"part p" + (i % 8)} width="16"
        height="16"></rect></svg>${n} <output>${show(parts[Math.min(S.t, r.T - 1)][n]?.[j] ?? 0)}</output></li>`,
    )}
      <li><svg width="16" height="16" aria-hidden="true">
        <circle class="total" cx="8" cy="8"
          r="3.5"></circle></svg>${say("total")} <output>${show(total[S.t], 6)}</output></li>
      ${
        share
          ? html`<li><svg width="22" height="16" aria-hidden="true">
        <path class="line direct"
          d="M0 8H22"></path></svg>${say("direct path")} <output>${show(way[S.t][j], 6)}</output></li>`
          : nothing
      }</ul>
    <p class="say">${share ? say("direct share", { t: S.t + 1, share: show(share[S.t], 6), way: show(way[S.t][j], 6), total: show(total[S.t], 6) }) : say("no direct path", { cell: S.cell })}</p></section>`;
}
// The curves of C: log10 of the norm at each lag, over its value at the loss.
let farMemo = ["", null];
function farCurves() {
  const key = [S.far, S.farBias, S.farScale].join();
  if (farMemo[0] === key) return farMemo[1];
  const out = [];
  for (const [name, cell] of Object.entries(FAR)) {
    const q = DATA.far[name],
      params = { ...q.params };
    for (const k of cell.params) if (isMatrix(params[k])) params[k] = scaled(S.farScale, params[k]);
    if (cell.bias) params[cell.bias] = params[cell.bias].map(x => x + (cell.shuts ? -S.farBias : S.farBias));
    const steps = run(cell, params, q.xs.slice(0, S.far), q.first),
      r = back(
        cell,
        steps,
        steps.map(() => ({})),
        q.last,
      );
    const push = (label, ds) => {
      const g = ds.map(norm).reverse();
      out.push({ name: label, norms: g, rate: rate(g) });
    };
    push(
      name,
      r.ds.map(z => z.d[cell.signal]),
    );
    if (name === "LSTM") push(say("direct path"), direct(cell, steps, r.ds.at(-1).d[cell.signal]));
  }
  farMemo = [key, out];
  return out;
}
function sectionFar() {
  const found = farCurves(),
    note = c =>
      isNaN(c.rate)
        ? say("no rate")
        : say("rate", {
            rate: show(c.rate, 4),
            half: isFinite(halfLife(c.rate)) ? show(+halfLife(c.rate).toFixed(1), 1) : "∞",
          });
  const curves = found.map(c => ({
    name: c.name,
    note: note(c),
    points: c.norms.map((g, lag) => [lag, Math.log10(g / c.norms[0])]),
  }));
  return html`<section id="C" aria-labelledby="C-title"><h2 id="C-title">${say("C")}</h2><p>${say("C text")}</p>
    ${chart({ curves, title: say("C"), x: say("lag"), powers: true, low: -30, height: 320 })}
    <div class="sliders">${slider(say("steps"), S.far, LIMITS.far, 1, z => set({ far: Math.max(2, Math.min(100, Math.round(z))) }))}${slider(say("weights"), S.farScale, LIMITS.farScale, 0.05, z => set({ farScale: z }))}${slider(say("forget bias"), S.farBias, LIMITS.farBias, 0.25, z => set({ farBias: z }))}</div>
    <details><summary>${say("numbers")}</summary><table><thead><tr><th scope="col">${say("curve")}</th>
      <th scope="col">${say("left", { lag: S.far - 1 })}</th>
      <th scope="col">${say("rate and half-life")}</th></tr></thead><tbody>
    ${found.map(
      c => html`<tr><th scope="row">${c.name}</th><td>${show(c.norms.at(-1) / c.norms[0], 6)}</td>
      <td>${note(c)}</td></tr>`,
    )}</tbody></table></details></section>`;
}
