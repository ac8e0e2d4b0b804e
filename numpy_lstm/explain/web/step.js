// A. One step: the diagram, the card of one row, the inputs, the weights.
function termName(q, t) {
  const names = {
    loss: say("from the loss"),
    last: say("from the last state"),
    next: say("from step", { t: t + 2 }),
    arriving: say("arriving"),
    lost: say("changed by the mistake"),
  };
  return names[q.tag] ?? `${q.tag} ${say("from", { name: q.from.map(k => "∂" + text(k)).join(", ") })}`;
}
const termsOf = (r, row) => (r.ds[S.t].terms[row.target] ?? []).map(q => ({ ...q, name: termName(q, S.t) }));
function card(r, right, rows) {
  const row = rows[S.k],
    v = r.steps[S.t],
    { d } = r.ds[S.t],
    a = S.back ? d[row.target] : v[row.target],
    j = unitOf(a),
    secret = hidden(row.target);
  const found = moved(row.target, S.t, j),
    derived = r.ds[S.t].d[row.target][j],
    agrees = agreement(found, derived, r.loss);
  const numbers = S.back
    ? row.terms.map(t => putIn(t.e, v, d, j)).join(" + ")
    : row.targets.length > 1
      ? `norm(${say("all units")})`
      : putIn(row.e, v, d, j);
  return html`<section class="card" aria-labelledby="card">
    <h3 id="card">${row.tag} <span class="muted">${say(S.back ? "row back" : "row forward", { k: S.k + 1, n: rows.length })}</span></h3>
    ${formula(row)}
    <p class="from">${say("goes into")}: ${row.froms.map(k => html`<button @click=${() => select(k)}>${S.back ? "∂" : ""}${text(k)}</button>`)}</p>
    ${
      secret || !numbers
        ? nothing
        : html`<p class="numbers">
      <span class="muted">${say("unit")} ${j + 1}:</span> ${numbers}${S.back && r.cell.state.includes(row.target) ? " + " + say("arriving") : ""}</p>`
    }
    <table><caption>${say(S.back ? "terms" : "value", { unit: j + 1 })}</caption><tbody>
    ${
      S.back
        ? termsOf(r, row).map(q => {
            const other = termsOf(right, row).find(z => z.name === q.name)?.value[j],
              bad = other === undefined || differs(q.value[j], other);
            return html`<tr class=${bad ? "gone" : ""}><th scope="row">${q.name}</th>
              <td>${secret ? "?" : show(q.value[j], 6)}${bad && other !== undefined ? html` <span class="right">${say("right is", { n: show(other, 6) })}</span>` : nothing}</td></tr>`;
          })
        : nothing
    }
    <tr class="sum"><th scope="row">${S.back ? say("sum") : text(row.target)}</th>
      <td>${secret ? "?" : show(a[j], 6)}</td></tr>
    ${row.target in r.cell.activation ? activation(r, row, j) : nothing}
    ${
      secret
        ? nothing
        : html`<tr class=${{ yes: "ok", no: "no", small: "" }[agrees.kind]} id="moved">
      <th scope="row">${say("move it")}</th>
      <td>${show(found, 6)} ${say("moved " + agrees.kind, { n: agrees.digits })}</td></tr>`
    }
    </tbody></table>
    <p class="muted">${say("all units")}: ${secret ? "?" : a.map(x => show(x)).join(", ")}</p></section>`;
}
function activation(r, row, j) {
  const [name, n, from] = r.cell.activation[row.target],
    pre = compile(from)(r.steps[S.t])[j],
    [f, d] = FUNCTIONS[name];
  return html`<tr><th scope="row">${say("before and after")}</th><td>${show(pre)} → ${show(f(pre, ...n))}</td></tr>
    <tr><th scope="row">${say("slope")}</th><td>${show(d(pre, ...n), 6)}</td></tr>`;
}
// A slider with a box for its number.
function slider(name, value, [low, high], step, change) {
  return html`<label class="slider"><span>${name}</span>
    <input type="number" .value=${String(value)} step=${step} aria-label=${say("number", { name })}
      @change=${e => change(+e.target.value)}>
    <input type="range" min=${low} max=${high} step=${step} .value=${String(value)} aria-label=${name}
      @input=${e => change(+e.target.value)}></label>`;
}
function inputs(r) {
  const now = (path, n) => slider(path[0], n, LIMITS.x, 0.05, z => edit(path[1], z));
  return html`<section aria-labelledby="inputs"><h3 id="inputs">${say("inputs")}</h3><div class="sliders">
    ${r.xs[S.t].map((x, j) => now([say("x at", { j: j + 1, t: S.t + 1 }), `x.${S.t}.${j}`], x))}
    ${r.cell.state.flatMap(k => r.first[k].map((x, j) => now([say("first state", { name: k, j: j + 1 }), `${k}.${j}`], x)))}
    ${slider(say("weights"), S.scale, LIMITS.scale, 0.05, z => set({ scale: z }))}
    ${r.cell.bias ? slider(say("forget bias"), S.bias, LIMITS.bias, 0.25, z => set({ bias: z })) : nothing}</div>
    <button @click=${() => {
      EDITS = {};
      set({ scale: 1, bias: 0 });
    }}>${say("reset")}</button></section>`;
}
let weight = { name: "", i: 0, j: 0 };
function weights(r) {
  const names = r.cell.params,
    name = names.includes(weight.name) ? weight.name : names[0],
    value = DATA.cases[S.cell].params[name],
    matrix = isMatrix(value);
  const rows = matrix ? value : [value],
    i = Math.min(weight.i, rows.length - 1),
    j = Math.min(weight.j, rows[0].length - 1),
    path = (i, j) => `${name}.${matrix ? i + "." : ""}${j}`;
  const g = matrix ? r.dparams[name] : [r.dparams[name]],
    found = matrix ? moved(name, null, i, j) : moved(name, null, j),
    agrees = agreement(found, g[i][j], r.loss);
  return html`<section aria-labelledby="weights"><h3 id="weights">${say("weight table")}</h3>
    <label>${say("array")} <select @change=${e => {
      weight = { name: e.target.value, i: 0, j: 0 };
      draw();
    }}>${names.map(n => html`<option value=${n} ?selected=${n === name}>${text(n)}</option>`)}</select></label>
    <div class="scroll" tabindex="0" role="region" aria-label=${say("value and gradient", { name: text(name) })}>
      <table class="weights"><caption>${say("value and gradient", { name: text(name) })}</caption><tbody>
    ${rows.map(
      (row, a) =>
        html`<tr>${row.map(
          (x, b) => html`<td class=${a === i && b === j ? "now" : ""}>
            <input type="number" step="0.1" .value=${String(EDITS[path(a, b)] ?? x)}
              aria-label=${say("weight", { name: text(name), i: matrix ? a + 1 : b + 1, j: matrix ? b + 1 : "" })}
      @focus=${() => {
        weight = { name, i: a, j: b };
        draw();
      }} @change=${e => edit(path(a, b), +e.target.value)}><span>${show(g[a][b])}</span></td>`,
        )}</tr>`,
    )}</tbody></table></div>
    <p>${say("move weight", { name: text(name), i: matrix ? i + 1 : j + 1, j: matrix ? ", " + (j + 1) : "", n: show(found, 6) })} ${say("moved " + agrees.kind, { n: agrees.digits })}</p></section>`;
}
function sentence(rows) {
  const row = rows[S.k],
    from = row.froms.map(text).join(", ");
  return (
    `${row.tag}: ` +
    (S.back
      ? say(row.terms.length > 1 ? "says joins" : "says back", { name: text(row.target), n: row.terms.length, from })
      : say("says forward", { name: text(row.target), from }))
  );
}
function sectionStep(r, right, rows) {
  const p = S.T;
  return html`<section id="A" aria-labelledby="A-title">
    <h2 id="A-title">${say("A")} <span class="muted">${say("step of", { t: S.t + 1, T: r.T, loss: show(r.loss, 6) })}</span></h2>
    <div class="bar"><button @click=${() => set({ k: 0 })} aria-label=${say("first row")}>|◀</button>
      <button @click=${() => go(S.k - 1)} aria-label=${say("previous row")}>◀</button>
      <button class="primary" @click=${() => go(S.k + 1)}>${say("next row")} ▶</button>
        <button @click=${() => set({ k: rows.length - 1 })} aria-label=${say("last row")}>▶|</button>
      <label>${say("time step")} <input type="range" min="1" max=${r.T} .value=${String(S.t + 1)}
        @input=${e => set({ t: e.target.value - 1 })}></label>
      <label>${say("steps")} <input type="range" min="1" max=${DATA.cases[S.cell].xs.length} .value=${String(p)}
        @input=${e => set({ T: +e.target.value, t: Math.min(S.t, e.target.value - 1) })}> <output>${r.T}</output></label>
      <button aria-pressed=${S.table} @click=${() => set({ table: !S.table })}>${say("as table")}</button></div>
    <p aria-live="polite" class="say">${sentence(rows)}</p>
    <div class="two"><div>${S.table ? rowTable(r, right, rows) : diagram(r, right, rows)}</div>${card(r, right, rows)}</div>
    <div class="two">${inputs(r)}${weights(r)}</div></section>`;
}
