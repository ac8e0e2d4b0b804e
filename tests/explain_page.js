// What tests ask of the interactive page: it is shown a problem, and says what it computed.
(() => {
  const pose = (state, end = null) => {
    const E = page.EDITS();
    for (const k in E) delete E[k];
    Object.assign(page.S, state);
    if (end === null) return;
    const q = page.problem();
    q.xs.forEach((x, t) => x.forEach((_, j) => { E[`x.${t}.${j}`] = end; }));
    for (const k of ["h", "c"]) (q.first[k] ?? []).forEach((_, j) => { E[`${k}.${j}`] = j % 2 ? -end : end; });
  };
  window.tests = {
    computed: ({ end, ...state }) => {
      pose(state, end);
      const r = page.compute(), at = [...new Set([0, r.T >> 1, r.T - 1])];
      const values = at.map(t => Object.fromEntries(r.cell.computed.map(k => [k, r.steps[t][k]])));
      const { params, first, last, xs, given, dparams, dfirst } = r;
      return { params, first, last, xs, given, dparams, dfirst, at, values, cotangents: at.map(t => r.ds[t].d) };
    },
    split: () => { const r = page.compute(); return page.split(r.cell, r.steps, r); },
    far: state => { Object.assign(page.S, state); return page.farCurves(); },
    mistaken: ([cell, labels]) => {
      pose({ cell, T: 4, scale: 1, bias: 0 });
      return labels.map(l => { const r = page.compute(l); return [r.dparams, r.dfirst, r.ds.map(z => z.d)]; });
    },
    moved: cell => {
      pose({ cell, T: 4, scale: 1, bias: 0 });
      const r = page.compute(), out = { yes: [], small: [], no: [] };
      const add = (name, g, ...at) => out[page.agreement(page.moved(name, ...at), g, r.loss).kind].push([name, ...at].join(" "));
      r.ds.forEach(({ d }, t) => Object.entries(d).forEach(([k, a]) => a.forEach((g, j) => add(k, g, t, j))));
      for (const [k, a] of Object.entries(r.dparams)) {
        a.forEach((row, i) => Array.isArray(row) ? row.forEach((g, j) => add(k, g, null, i, j)) : add(k, row, null, i));
      }
      return out;
    },
    walked: stride => {
      let shown = 0;
      for (const cell of Object.keys(page.CELLS)) {
        for (const back of [false, true]) {
          page.set({ cell, back, T: 2, t: 1, wrong: back ? page.mistakes(cell)[0] : "" });
          for (let k = 0; k < page.rowsNow().length; k += stride) { page.set({ k }); page.now(); shown += 1; }
        }
      }
      page.set({ wrong: "", T: 4 });
      return [shown, document.getElementById("app").textContent.match(/NaN|undefined|\[object/g) ?? []];
    },
    frame: () => new Promise(done => requestAnimationFrame(() => setTimeout(done))),
    redrawn: state => { page.set(state); return tests.frame(); },
    small: () => [...document.querySelectorAll("button, select, summary, input:not([type=radio]), .jump a")]
      .map(e => [e.outerHTML.slice(0, 80), e.getBoundingClientRect()]).filter(([, b]) => b.width && b.height < 44).map(([e]) => e),
    questions: () => page.QUESTIONS.map(q => [q.id, page.options(q).map(o => [o.label, o.value])]),
  };
})();
