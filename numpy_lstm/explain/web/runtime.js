// The loop over time, forward and back; a mistake is an edit of the backward pass.
const namesIn = e =>
  typeof e === "string"
    ? [e]
    : Array.isArray(e)
      ? e.slice({ f: 3, d: 3, norm: 2, dnorm: 3 }[e[0]] ?? 1).flatMap(namesIn)
      : [];

const grouped = terms => {
  const out = {};
  for (const t of terms) (out[t.target] ??= []).push(t);
  return out;
};
function compiled(cell) {
  const params = new Set(cell.params);
  const rows = cell.rows.map(([tag, targets, e, exact]) => ({
    tag,
    targets,
    e,
    names: [...new Set(namesIn(e))],
    value: compile(exact ?? e, targets[0]),
    shown: compile(e, targets[0]),
    several: Array.isArray(e) && e[0] === "norm",
  }));
  const terms = cell.terms.map(([tag, target, sources, e]) => ({
    tag,
    target,
    sources,
    e,
    param: params.has(target),
    through: params.has(target) ? [] : namesIn(e).filter(n => params.has(n)),
    value: compile(e, sources[0]),
  }));
  const activation = Object.fromEntries(rows.filter(r => r.e[0] === "f").map(r => [r.targets[0], r.e.slice(1)]));
  return {
    ...cell,
    rows,
    terms,
    activation,
    computed: rows.flatMap(r => r.targets),
    into: grouped(terms),
    inner: terms.filter(t => !t.param),
    outer: terms.filter(t => t.param),
  };
}

function step(cell, v, bump) {
  for (const { targets, value, shown, several } of cell.rows) {
    const found = (bump ? shown : value)(v); // where z is moved, 1 - z moves with it
    targets.forEach((k, i) => {
      v[k] = several ? found[i] : found;
      if (bump?.[0] === k) v[k] = bumped(v[k], bump);
    });
  }
  return v;
}
const bumped = (a, [, j, e]) => a.map((x, i) => (i === j ? x + e : x));
function run(cell, params, xs, first, bumps = {}) {
  let state = first;
  const steps = [];
  xs.forEach((x, t) => {
    const v = Object.create(params),
      bump = bumps[t];
    v.x = x;
    for (const k of cell.state) v[k + "_prev"] = state[k];
    if (bump && Object.hasOwn(v, bump[0])) v[bump[0]] = bumped(v[bump[0]], bump);
    steps.push(step(cell, v, bump));
    state = v;
  });
  return steps;
}

// What a mistake puts in place of an array: a number, another array of the same step, or a change of it.
function source(s, record, k, t, steps, a = record[k]) {
  const at = n => steps[n][k],
    end = steps.length - 1;
  if (typeof s === "number") return filled(a, s);
  if (typeof s === "string") return record[s];
  const [how, n] = s;
  return {
    next: () => at(min(t + 1, end)),
    previous: () => at(max(t - 1, 0)),
    last: () => at(end),
    first: () => at(0),
    start: () => (t ? a : filled(a)),
    swapped: () => (t ? a : record[n]),
    times: () => scaled(n, a),
    T: () => transposed(a),
    tanh: () => record[n ?? k].map(Math.tanh),
    factor: () => mul(a, record[n]),
    slope: () => mul(a, record[n].map(FUNCTIONS.tanh[1])),
    clip: () => each(x => max(-n, min(n, x)), a),
  }[how]();
}
function changed(record, change, t, steps) {
  if (!change) return record;
  const whole = change["*"] ? Object.fromEntries(Object.keys(steps[t]).map(k => [k, change["*"]])) : change;
  const known = Object.entries(whole).filter(([k]) => record[k] !== undefined);
  return Object.assign(
    Object.create(record),
    Object.fromEntries(known.map(([k, s]) => [k, source(s, record, k, t, steps)])),
  );
}

// The backward pass: cotangents, then parameter gradients as one sum over steps. given[t] and last are cotangents from
// outside; every term that a cotangent received is kept with its tag. ``m`` is a mistake, {} for none.
function back(cell, steps, given, last, m = {}) {
  [given, last] = admitted(given, last, m);
  const T = steps.length,
    ds = [];
  let carry = null;
  const saved = steps.map((v, t) => changed(v, m.saved, t, steps));
  const cut = t => (m.every ? t % m.every === 0 : m.end ? t === T - m.end : false);
  for (let t = T - 1; t >= 0; t--) {
    const v = saved[t],
      d = {},
      terms = {};
    const put = (name, tag, from, value) => {
      (terms[name] ??= []).push({ tag, from, value });
      d[name] = d[name] ? add(d[name], value) : value;
    };
    for (const k of cell.state) {
      d[k] = filled(v[k]);
      if (given[t]?.[k]) put(k, "loss", [], given[t][k]);
      if (t === T - 1) {
        if (last?.[k]) put(k, "last", [], last[k]);
      } else put(k, "next", [], cut(t + 1) ? filled(v[k]) : carry[k]);
      if (m.arriving && k in m.arriving) {
        const a = source(m.arriving[k], v, k, t, steps, d[k]);
        terms[k] = [{ tag: "arriving", from: [], value: a }];
        d[k] = a;
      }
    }
    const w = changed(changed(v, m.values, t, saved), m.params, t, saved);
    for (const { tag, target, sources, value } of cell.inner) put(target, tag, sources, value(w, d, m));
    for (const [k, s] of Object.entries(m.leaving ?? {})) {
      const name = k + "_prev";
      if (!d[name]) continue;
      const a = typeof s === "number" ? scaled(s, d[name]) : source(s, d, name, t, ds);
      if (typeof s === "number") terms[name] = terms[name].map(q => ({ ...q, value: scaled(s, q.value) }));
      else terms[name].push({ tag: "lost", from: [], value: sub(a, d[name]) });
      d[name] = a;
    }
    carry = Object.fromEntries(cell.state.map(k => [k, d[k + "_prev"]]));
    ds[t] = { d, terms };
  }
  return {
    ds,
    ...contracted(cell, saved, ds, m),
    dfirst: T
      ? {
          ...carry,
          ...Object.fromEntries(
            Object.entries(m.first ?? {})
              .map(([k, n]) => [k, carry[k] && (n === "late" ? ds[0].d[k] : filled(carry[k]))])
              .filter(([, a]) => a),
          ),
        }
      : last,
  };
}
// The cotangents from outside as a mistake lets them in.
function admitted(given, last, m) {
  const end = given.length - 1,
    other = { next: t => min(t + 1, end), previous: t => max(t - 1, 0), reversed: t => end - t }[m.given];
  const out = given.map((g, t) => ({
    ...g,
    h: other
      ? given[other(t)].h
      : (m.given === "last only" && t < end) || (m.given === "not last" && t === end)
        ? filled(g.h)
        : m.given === "double"
          ? scaled(2, g.h)
          : m.given === "last everywhere" && t < end
            ? add(g.h, last.h)
            : g.h,
  }));
  return [out, m.last ? changed(last, m.last, 0, []) : last];
}
function contracted(cell, values, ds, m) {
  const T = ds.length,
    total = {},
    parts = [],
    shift = { next: t => min(t + 1, T - 1), previous: t => max(t - 1, 0) }[m.deltas] ?? (t => t);
  for (let t = 0; t < T; t++) {
    const v = changed(values[t], m.contracted, t, values),
      d = ds[shift(t)].d,
      now = (parts[t] = {});
    for (const { target, value } of cell.outer) {
      const a = value(v, d, m);
      now[target] = now[target] ? add(now[target], a) : a;
    }
    for (const [k, [how, a, b]] of Object.entries(m.products ?? {}))
      if (now[k]) now[k] = how === "outer" ? outer(d[a], v[b]) : mul(d[a], v[b]);
    for (const k of cell.params) total[k] = total[k] ? add(total[k], now[k] ?? filled(v[k])) : (now[k] ?? filled(v[k]));
  }
  for (const [kind, t] of Object.entries(m.only ?? {}))
    for (const k of cell.params) if (k.startsWith(kind)) total[k] = parts[t < 0 ? T + t : t][k];
  const right = { ...total };
  for (const [k, s] of Object.entries(m.gradients ?? {}))
    for (const name of cell.params) {
      const factor = Array.isArray(s) ? { times: s[1], overT: 1 / T, byT: T }[s[0]] : null;
      if (factor !== null && (name.startsWith(k) || k === "all")) total[name] = scaled(factor, right[name]);
      else if (factor === null && name === k) total[name] = right[s];
    }
  return { parts, dparams: total };
}
