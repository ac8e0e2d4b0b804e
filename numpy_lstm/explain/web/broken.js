// D. Break it: a catalogued mistake as an edit of the backward pass, and what it does to the numbers.
const off = (a, b) => {
  const n = norm(b),
    g = norm(sub(a, b));
  return g === 0 ? 0 : n === 0 ? Infinity : g / n;
};
const percent = x => (isFinite(x) ? `${show(+(100 * x).toFixed(2), 2)} %` : "∞");
function consequences(r, right) {
  return [
    ...r.cell.params.map(k => [`d${text(k)}`, off(r.dparams[k], right.dparams[k])]),
    ...r.cell.state.map(k => [`d${k}₀`, off(r.dfirst[k], right.dfirst[k])]),
  ]
    .filter(([, e]) => e > 1e-9)
    .sort((a, b) => b[1] - a[1]);
}
function firstWrong(r, right) {
  const order = [...[...r.cell.computed].reverse(), "x", ...r.cell.state.map(k => k + "_prev")];
  for (let t = r.T - 1; t >= 0; t--)
    for (const k of order)
      for (let j = 0; j < r.ds[t].d[k].length; j++)
        if (differs(r.ds[t].d[k][j], right.ds[t].d[k][j])) return { t, k, j };
  return null;
}
function sectionBroken(r, right) {
  const names = mistakes(),
    label = S.wrong,
    body = () => {
      const { says, source } = about(label),
        lines = consequences(r, right),
        at = firstWrong(r, right);
      const small = compute(label, { T: 1, zero: true }),
        fine = compute("", { T: 1, zero: true }),
        left = [...consequences(small, fine).map(c => c[0])];
      return html`<div class="broken"><p><strong>${label}</strong>: ${says}. <em>${say("seen", { source })}</em></p>
      ${
        at
          ? html`<p>${say("first wrong", { name: text(at.k), t: at.t + 1, unit: at.j + 1, wrong: show(r.ds[at.t].d[at.k][at.j], 6), right: show(right.ds[at.t].d[at.k][at.j], 6) })}
        <button @click=${() => {
          set({ back: true, t: at.t, unit: at.j });
          select(at.k);
          document.getElementById("A").scrollIntoView();
        }}>${say("show it")}</button></p>
        ${comparison(r, right, at)}`
          : html`<p>${say("no cotangent wrong")}</p>`
      }
      <h3>${say("consequences")}</h3>${lines.length ? html`<table><thead><tr><th scope="col">${say("array")}</th>
        <th scope="col">${say("off by")}</th></tr></thead><tbody>${lines.slice(0, 8).map(([k, e]) => html`<tr>
        <th scope="row">${k}</th>
        <td>≠ ${percent(e)}</td></tr>`)}</tbody></table>` : html`<p>${say("nothing differs")}</p>`}
      <h3>${say("one step")}</h3>
        <p>${left.length ? say("one step shows", { n: left.length, names: left.slice(0, 5).join(", ") }) : say("one step hides")}</p></div>`;
    };
  return html`<section id="D" aria-labelledby="D-title"><h2 id="D-title">${say("D")}</h2>
    <p>${say("D text", { n: new Set(names.map(n => n.split("[")[0])).size, cell: S.cell })}</p>${menu("wrong-2")}${label ? body() : html`<p>${say("choose")}</p>`}</section>`;
}
function menu(id) {
  return html`<label for=${id}>${say("break it")}</label> <select id=${id} class="menu"
    @change=${e => set({ wrong: e.target.value, ...(e.target.value ? { back: true } : {}) })}><option value="">${say("nothing")}</option>
    ${mistakes().map(n => html`<option value=${n} ?selected=${n === S.wrong}>${n}</option>`)}</select>`;
}
// The terms of the first number that is wrong, right against wrong.
function comparison(r, right, { t, k, j }) {
  const of = z => (z.ds[t].terms[k] ?? []).map(q => [[q.tag, q.from.join()].join(" "), q]),
    all = new Map([...of(right), ...of(r)]),
    pick = (z, key) => of(z).find(p => p[0] === key)?.[1].value[j];
  return html`<table><caption>${say("terms of", { name: text(k), t: t + 1 })}</caption><thead><tr>
    <th scope="col">${say("term")}</th><th scope="col">${say("right")}</th>
    <th scope="col">${say("wrong")}</th></tr></thead><tbody>
    ${[...all].map(([key, q]) => {
      const a = pick(right, key),
        b = pick(r, key),
        bad = a === undefined || b === undefined || differs(a, b);
      return html`<tr class=${bad ? "bad" : ""}><th scope="row">${termName(q, t)}</th><td>${show(a, 6)}</td>
        <td>${bad ? html`≠ <del>${show(b, 6)}</del>` : show(b, 6)}</td></tr>`;
    })}</tbody></table>`;
}
