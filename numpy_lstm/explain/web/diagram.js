// The data-flow diagram of one step: c on top, h at the bottom, depth in the rows from left to right.
const X = 156,
  Y = 74,
  HALF = 38;
const layouts = {};
function layout(cell, name) {
  return (layouts[name] ??= (() => {
    const depth = { x: 0 },
      edges = [],
      columns = {},
      at = {};
    for (const k of cell.state) depth[k + "_prev"] = 0;
    for (const r of cell.rows) {
      const from = r.names.filter(k => !cell.params.includes(k));
      for (const k of r.targets) {
        depth[k] = 1 + max(0, ...from.map(o => depth[o]));
        edges.push(...from.map(o => [o, k]));
      }
    }
    const top = ["c_prev", "c"],
      bottom = ["x", "h_prev", "h"];
    for (const [k, d] of Object.entries(depth))
      if (!top.includes(k) && !bottom.includes(k)) (columns[d] ??= []).push(k);
    const most = max(1, ...Object.values(columns).map(c => c.length)),
      up = "c" in depth ? 1 : 0;
    for (const [d, names] of Object.entries(columns))
      names.forEach((k, i) => {
        at[k] = [+d, up + i + (most - names.length) / 2];
      });
    for (const k of top) if (k in depth) at[k] = [depth[k], 0];
    at.x = [0, most + up - 1 + (columns[0] ? 1 : 0)];
    at.h_prev = [0, at.x[1] + 1];
    at.h = [depth.h, at.x[1] + 1];
    for (const k in at) at[k] = [54 + at[k][0] * X, 46 + at[k][1] * Y];
    const [w, h] = [0, 1].map(i => max(...Object.values(at).map(p => p[i])));
    return { at, edges, w: w + 96, h: h + 36 };
  })());
}
function curve([x1, y1], [x2, y2]) {
  const s = Math.sign(x2 - x1) || 1,
    a = x1 + (HALF + 1) * s,
    b = x2 - (HALF + 7) * s,
    m = (a + b) / 2;
  return `M${a} ${y1}C${m} ${y1} ${m} ${y2} ${b} ${y2}`;
}
// The factor of an element-by-element term at unit j: its value where the cotangent is one; else which matrix it goes through.
function factor(term, v, d, j) {
  if (term.through.some(k => isMatrix(v[k]))) return say("through", { name: term.through.map(text).join(", ") });
  if (JSON.stringify(term.e).includes("norm")) return say("through", { name: "norm′" });
  return "× " + show(term.value(v, ones(term, v), {})[j]);
}
// Where on the edge from a to b a chip of this width hides the fewest nodes and other chips.
function place(a, b, w, taken) {
  const hidden = p =>
    taken.reduce(
      (n, [x, y, width, height]) =>
        n + max(0, (w + width) / 2 - abs(p[0] - x)) * max(0, (34 + height) / 2 - abs(p[1] - y)),
      0,
    );
  const along = [0.5, 0.42, 0.58, 0.34, 0.66, 0.26, 0.74, 0.18, 0.82].map(u => {
    // the cubic of curve()
    const q = 1 - u;
    return [a[0] + (b[0] - a[0]) * u, a[1] * (q ** 3 + 3 * q * q * u) + b[1] * (3 * q * u * u + u ** 3)];
  });
  const best = along.map(p => [hidden(p), p]).sort((p, q) => p[0] - q[0])[0][1];
  taken.push([...best, w, 34]);
  return best;
}
function chips(cell, r, row, at) {
  const v = r.steps[S.t],
    { d, terms } = r.ds[S.t],
    j = unitOf(v[row.target]),
    taken = Object.values(at).map(p => [...p, 2 * HALF, 48]);
  const put = (from, lines) => {
    const w = 7.3 * max(...lines.map(s => s.length)) + 8,
      [x, y] = place(at[from], at[row.target], w, taken);
    return svg`<g class="chip" transform="translate(${x} ${y})">
      <rect x=${-w / 2} y="-17" width=${w} height="34" rx="9"></rect><text y="-7">${lines[0]}</text>
      <text y="8">${lines[1]}</text></g>`;
  };
  if (S.back)
    return row.terms
      .filter(t => at[t.sources[0]])
      .map(t => {
        const value = (terms[row.target] ?? []).find(q => q.tag === t.tag && q.from.join() === t.sources.join())?.value;
        return value
          ? put(
              t.sources[
                Math.min(
                  t.sources.length - 1,
                  max(
                    0,
                    t.sources.findIndex(s => s.endsWith(row.target.at(-1))),
                  ),
                )
              ],
              [factor(t, v, d, j), "= " + show(value[j])],
            )
          : nothing;
      });
  // Forward: what each operand brings, by its matrix, the other factors of its product, or the slope of the function.
  const brought = operand => {
    const product = matrixOf(row.e, operand);
    if (product) return [say("through", { name: text(product[2]) }), "= " + show(lin(v[operand], v[product[2]])[j])];
    const term = cell.inner.find(t => t.target === operand && t.sources.includes(row.target));
    if (!term || JSON.stringify(term.e).includes("norm")) return null;
    const found = factor(term, v, d, j);
    return row.target in cell.activation
      ? [say("slope here"), found.slice(2)]
      : [found, "= " + show(each((a, b) => a * b, v[operand], term.value(v, ones(term, v), {}))[j])];
  };
  return row.froms
    .map(k => [k, brought(k)])
    .filter(([, lines]) => lines)
    .map(([k, lines]) => put(k, lines));
}
// The product of an operand with a matrix in an expression, if it has one.
const matrixOf = (e, operand) =>
  !Array.isArray(e) ? null : e[0] === "lin" && e[1] === operand ? e : e.map(x => matrixOf(x, operand)).find(Boolean);
const ones = (term, v) => Object.fromEntries(term.sources.map(k => [k, filled(v[k], 1)]));
const unitOf = a => Math.min(S.unit, a.length - 1);
function diagram(r, right, rows) {
  const cell = r.cell,
    { at, edges, w, h } = layout(cell, S.cell),
    row = rows[S.k],
    v = r.steps[S.t],
    { d, terms } = r.ds[S.t];
  const active = (a, b) => (S.back ? row.target === a && row.froms.includes(b) : row.target === b);
  const done = new Set(rows.slice(0, S.k + 1).map(q => q.target)),
    known = k => done.has(k) || (!S.back && /_prev$|^x$/.test(k));
  const node = k => {
    const [x, y] = at[k],
      a = S.back ? d[k] : v[k],
      j = unitOf(a),
      bad = S.back && known(k) && differs(a[j], right.ds[S.t].d[k][j]);
    const joins = S.back ? (terms[k] ?? []).length : 0,
      value = hidden(k) ? "?" : known(k) ? show(a[j]) : "·",
      { base, sub, prev } = symbol(k);
    const pick = () => select(k),
      bar = known(k) && !hidden(k) ? max(-1, min(1, a[j])) * (HALF - 4) : 0;
    return svg`<g class=${"node" + (row.target === k ? " now" : "") + (bad ? " bad" : "") + (known(k) ? "" : " later")}
      transform="translate(${x} ${y})" role="button" tabindex="0"
      aria-label=${say(S.back ? "node back" : "node", { name: text(k), value, unit: j + 1, joins: joins > 1 ? say("joins", { n: joins }) : "", bad: bad ? say("wrong here") : "" })}
      @click=${pick} @keydown=${e => {
        if (e.key === "Enter" || e.key === " ") {
          e.preventDefault();
          pick();
        }
      }}>
      <rect class="box" x=${-HALF} y="-24" width=${2 * HALF} height="48" rx="8"></rect>
      <text y="-6" class="sym">${S.back ? "∂" : ""}${base}<tspan class="sub"
        dy="4">${[sub, prev ? "t−1" : ""].filter(Boolean).join(",")}</tspan></text><text y="13" class="val">${value}</text>
      <rect class="bar" x=${min(0, bar)} y="18" width=${abs(bar)} height="3"></rect>
      ${
        joins > 1
          ? svg`<g class="join" transform="translate(${HALF - 6} -24)"><circle r="11"></circle>
        <text>+${joins}</text></g>`
          : nothing
      }
      ${bad ? svg`<text x=${-HALF + 6} y="-28" class="flag">≠</text>` : nothing}</g>`;
  };
  return html`<div class="scroll" id="diagram" tabindex="0" role="region" aria-label=${say("diagram", { cell: S.cell })}>
    <svg viewBox="0 0 ${w} ${h}" width=${w} height=${h}
      class=${(S.back ? "backward" : "") + (w > 600 && w < 1000 ? " fit" : "")} role="group"
        aria-label=${say("diagram", { cell: S.cell })}>
    <defs>${["tip", "tip-on"].map(
      id => svg`<marker id=${id} viewBox="0 0 8 8" refX="5" refY="4" markerWidth="9"
      markerHeight="9" markerUnits="userSpaceOnUse" orient="auto"><path d="M0 0L8 4L0 8z"></path></marker>`,
    )}</defs>
    ${[...edges].sort(([a, b], [p, q]) => active(a, b) - active(p, q)).map(([a, b]) => svg`<path class=${"edge" + (active(a, b) ? " on" : "")} d=${S.back ? curve(at[b], at[a]) : curve(at[a], at[b])} marker-end=${active(a, b) ? "url(#tip-on)" : "url(#tip)"}></path>`)}
    ${Object.keys(at).map(node)}${chips(cell, r, row, at)}</svg></div>`;
}
// The same as a table, for small screens and for reading aloud.
function rowTable(r, right, rows) {
  const v = r.steps[S.t],
    { d } = r.ds[S.t];
  return html`<div class="scroll" tabindex="0" role="region" aria-label=${say("rows")}><table class="rows">
    <caption>${say("rows")}</caption>
    <thead><tr><th scope="col">${say("tag")}</th><th scope="col">${say("name")}</th>
      <th scope="col">${say("unit")} ${S.unit + 1}</th></tr></thead><tbody>
    ${rows.map((q, i) => {
      const a = S.back ? d[q.target] : v[q.target],
        j = unitOf(a),
        bad = S.back && differs(a[j], right.ds[S.t].d[q.target][j]);
      return html`<tr class=${i === S.k ? "now" : ""}><td>${q.tag}</td><th scope="row">
        <button aria-pressed=${i === S.k}
          @click=${() => set({ k: i })}>${(S.back ? "∂" : "") + text(q.target)}</button></th><td>${hidden(q.target) ? "?" : show(a[j])}${bad ? " ≠" : ""}</td></tr>`;
    })}</tbody></table></div>`;
}
// On a narrow screen the node in question is brought to the middle.
let centred = "";
function bringToMiddle() {
  const box = document.getElementById("diagram"),
    key = [S.cell, S.k, S.back].join();
  if (!box || key === centred) return;
  centred = key;
  const at = layout(CELLS[S.cell], S.cell).at[rowsNow()[S.k].target],
    shown = box.firstElementChild.getBoundingClientRect().width / box.firstElementChild.viewBox.baseVal.width;
  box.scrollTo({
    left: at[0] * shown - box.clientWidth / 2,
    behavior: matchMedia("(prefers-reduced-motion: reduce)").matches ? "auto" : "smooth",
  });
}
