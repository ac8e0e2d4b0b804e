// By which path a cotangent arrives: the splitting of numpy_lstm.flow.split, from the terms; and curves over many steps.
const ORDER = ["given", "carry", "kept", "output", "gate", "peephole"];
const merge = (into, name, a) => {
  into[name] = into[name] ? add(into[name], a) : a;
};

// A term with one cotangent in place of its sources': linear, so parts go through it one by one.
const through = (term, v, d) => (term.sources.every(k => d[k]) ? term.value(v, d) : null);

// What the state gets from the step after it, by the parameter met last on the way: {carry: ..., "U_f": ...}.
function hops(cell, v, d, field) {
  const at = {};
  const parts = k => (at[k] ??= cell.state.includes(k) ? { carry: { [k]: d[k] } } : collect(k));
  function collect(k) {
    const out = {};
    for (const term of cell.into[k] ?? []) {
      if (term.through.length) {
        merge(out, term.through[0], term.value(v, d));
        continue;
      }
      const above = term.sources.map(parts),
        names = [...new Set(above.flatMap(a => Object.keys(a)))];
      for (const name of names) {
        const from = Object.fromEntries(term.sources.map((s, i) => [s, picked(above[i][name], s) ?? filled(v[s])]));
        merge(out, name, term.value(v, from));
      }
    }
    return out;
  }
  const picked = (a, k) => (Array.isArray(a) ? a : a?.[k]);
  return collect(field);
}
function labels(cell, v, found, field) {
  const short = k =>
    `${isMatrix(v[k]) || field === "h" ? "gate" : "peephole"} ${k.slice(k.indexOf("_") + 1 || k.length)}`.trim();
  const count = {};
  for (const k of Object.keys(found)) if (k !== "carry") count[short(k)] = (count[short(k)] ?? 0) + 1;
  return Object.fromEntries(
    Object.entries(found).map(([k, a]) => [
      k === "carry" ? k : count[short(k)] > 1 ? `${short(k).split(" ")[0]} ${k}` : short(k),
      a,
    ]),
  );
}
// The terms that lead to this field, not by way of another state.
function towards(cell, to) {
  return ((cell.ways ??= {})[to] ??= (() => {
    const reach = new Set([to]);
    for (const term of [...cell.inner].reverse())
      if (reach.has(term.target))
        term.sources.filter(k => !cell.state.includes(k) || !cell.state.includes(to)).forEach(k => reach.add(k));
    return cell.inner.filter(t => reach.has(t.target) && (t.target === to || !cell.state.includes(t.target)));
  })());
}
// What a cotangent of h is worth for c within the step, without the terms through the parameters ``cut``.
function onward(cell, v, from, a, to, cut) {
  const d = { [from]: a };
  for (const term of towards(cell, to)) {
    if (term.through.some(k => cut.includes(k))) continue;
    const x = through(term, v, d);
    if (x) merge(d, term.target, x);
  }
  return d[to];
}
function beside(cell, v, from, to) {
  const ones = filled(v[from], 1),
    met = [...new Set(cell.inner.filter(t => t.target === to).flatMap(t => t.through))];
  return met.filter(k => onward(cell, v, from, ones, to, [k]));
}
function split(cell, steps, r) {
  const to = cell.signal,
    T = steps.length,
    out = [];
  let before = null;
  const ways = cell.state
    .filter(k => k !== to && onward(cell, steps[0], k, filled(steps[0][k], 1), to, []))
    .map(k => [k, beside(cell, steps[0], k, to)]);
  for (let t = T - 1; t >= 0; t--) {
    const v = steps[t],
      { d, terms } = r.ds[t],
      arriving = {};
    for (const k of cell.state) {
      const own = (terms[k] ?? []).filter(q => q.tag === "loss" || q.tag === "last").map(q => q.value);
      arriving[k] = {
        ...(own.length ? { given: own.reduce(add) } : {}),
        ...(before && (k === to || ways.some(w => w[0] === k))
          ? labels(cell, steps[t + 1], hops(cell, steps[t + 1], before, k + "_prev"), k)
          : {}),
      };
    }
    const found = { ...arriving[to] };
    for (const [from, cut] of ways) {
      for (const [name, a] of Object.entries(arriving[from]))
        merge(
          found,
          { given: from === "h" ? "output" : `given ${from}`, carry: `carry ${from}` }[name] ?? name,
          onward(cell, v, from, a, to, cut),
        );
      const side = {};
      for (const term of cell.inner.filter(q => q.target === to && q.through.some(k => cut.includes(k))))
        merge(side, term.through[0], term.value(v, d));
      for (const [name, a] of Object.entries(labels(cell, v, side, to))) merge(found, name, a);
    }
    out[t] = Object.fromEntries(
      Object.entries(found).sort(([a], [b]) => ORDER.indexOf(a.split(" ")[0]) - ORDER.indexOf(b.split(" ")[0])),
    );
    before = d;
  }
  return out;
}
// By what a step multiplies the state through no parameter: f of an LSTM, z of a GRU; null if there is no such path.
function kept(cell, v) {
  const from = cell.signal,
    d = { [from]: filled(v[from], 1) };
  for (const term of towards(cell, from + "_prev")) {
    if (cell.state.includes(term.target) || term.through.length) continue;
    const x = through(term, v, d);
    if (x) merge(d, term.target, x);
  }
  return d[from + "_prev"] ?? null;
}
function direct(cell, steps, end) {
  const out = [];
  let a = end;
  for (let t = steps.length - 1; t >= 0; t--) {
    out[t] = a;
    const f = kept(cell, steps[t]);
    a = f && a ? mul(a, f) : null;
  }
  return out;
}
// exp of the slope of log g over the lags, but the first tenth: the factor per step; and where it halves.
function rate(g) {
  const from = Math.floor(g.length / 10),
    part = g.slice(from);
  if (part.length < 2 || part.some(x => !(x > 0 && isFinite(x)))) return NaN;
  const n = part.length,
    mx = (n - 1) / 2,
    logs = part.map(Math.log),
    my = logs.reduce((s, y) => s + y) / n;
  return exp(logs.reduce((s, y, i) => s + (i - mx) * (y - my), 0) / logs.reduce((s, _, i) => s + (i - mx) ** 2, 0));
}
const halfLife = r => (r > 0 && r < 1 ? Math.LN2 / -Math.log(r) : isNaN(r) ? NaN : Infinity);
