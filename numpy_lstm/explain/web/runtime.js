// The vocabulary of the rows, compiled, and the loop over time. A vector is an array, a matrix an array of its rows; one
// row of a batch. In float64, like numpy_lstm; sums run from left to right.
const isMatrix = a => Array.isArray(a[0]);
const each = (f, ...as) => isMatrix(as[0])
  ? as[0].map((_, i) => each(f, ...as.map(a => a[i]))) : as[0].map((_, i) => f(...as.map(a => a[i])));
const add = (a, b) => isMatrix(a) ? a.map((r, i) => add(r, b[i])) : a.map((x, i) => x + b[i]);
const sub = (a, b) => isMatrix(a) ? a.map((r, i) => sub(r, b[i])) : a.map((x, i) => x - b[i]);
const mul = (a, b) => isMatrix(a) ? a.map((r, i) => mul(r, b[i])) : a.map((x, i) => x * b[i]);
const scaled = (n, a) => isMatrix(a) ? a.map(r => scaled(n, r)) : a.map(x => n * x);
const filled = (a, n = 0) => isMatrix(a) ? a.map(r => filled(r, n)) : a.map(() => n);
const copied = a => isMatrix(a) ? a.map(r => [...r]) : [...a];
const norm = a => Math.hypot(...a.flat());
const transposed = a => a[0].map((_, j) => a.map(r => r[j]));
const dot = (a, b) => { let s = 0; for (let k = 0; k < a.length; k++) s += a[k] * b[k]; return s; };
const lin = (x, W) => W.map(row => dot(row, x)); // x W^T
const nil = (d, W) => W[0].map((_, k) => { let s = 0; for (let j = 0; j < d.length; j++) s += d[j] * W[j][k]; return s; });
const outer = (d, x) => d.map(y => x.map(z => y * z));

// Functions of the pre-activation and their derivatives, each without cancellation, as in numpy_lstm.activations.
const { exp, abs, max, min, log1p } = Math;
const bell = e => e / ((1 + e) * (1 + e));
const logistic = x => { const e = exp(-abs(x)); return x >= 0 ? 1 / (1 + e) : e / (1 + e); };
const FUNCTIONS = {
  sigmoid: [logistic, x => bell(exp(-abs(x)))],
  tanh: [Math.tanh, x => 4 * bell(exp(-2 * abs(x)))],
  relu: [x => max(x, 0), x => +(x > 0)],
  identity: [x => x, () => 1],
  one: [() => 1, () => 0],
  softsign: [x => x / (1 + abs(x)), x => 1 / ((1 + abs(x)) * (1 + abs(x)))],
  softplus: [x => max(x, 0) + log1p(exp(-abs(x))), logistic],
  affine: [(x, a, b) => a * x + b, (x, a) => a],
  leaky_relu: [(x, a) => x > 0 ? x : a * x, (x, a) => x > 0 ? 1 : a],
  thresholded_relu: [(x, a) => x < a ? 0 : x, (x, a) => x < a ? 0 : 1],
  scaled_tanh: [(x, a, b) => a * Math.tanh(b * x), (x, a, b) => a * b * FUNCTIONS.tanh[1](b * x)],
  hard_sigmoid: [(x, a, b) => max(0, min(1, a * x + b)), (x, a, b) => a * x + b > 0 && a * x + b < 1 ? a : 0],
  elu: [(x, a) => x > 0 ? x : a * Math.expm1(x), (x, a) => x > 0 ? 1 : a * exp(x)],
  clip: [(x, n) => max(-n, min(n, x)), (x, n, through) => through || abs(x) <= n ? 1 : 0],
};
// What a mistake takes for the derivative of f at x; d is the right one.
const WRONG = {
  one: () => 1, zero: () => 0, sign: (f, d, x) => -d(x), double: (f, d, x) => 2 * d(x), twice: (f, d, x) => d(x) * d(x),
  ofValue: (f, d, x) => d(f(x)), value: (f, d, x) => f(x), complement: (f, d, x) => 1 - f(x),
  logistic: (f, d, x) => f(x) * (1 - f(x)), bend: (f, d, x) => 1 - f(x) * f(x), plus: (f, d, x) => 1 + f(x) * f(x),
  square: (f, d, x) => 1 - x * x, raw: (f, d, x) => x * (1 - x),
};

const mean = bs => { const f = bs.flat(); return f.reduce((s, x) => s + x, 0) / f.length; };
function centre(bs, eps) {
  const m = mean(bs), c = bs.map(b => b.map(x => x - m));
  return [c, Math.sqrt(mean(c.map(b => b.map(x => x * x))) + eps)];
}
const normalise = (bs, eps) => { const [c, s] = centre(bs, eps); return c.map(b => b.map(x => x / s)); };
function normaliseAdjoint(ds, bs, eps, constant = "") {
  const [c, s] = centre(bs, eps), n = c.map(b => b.map(x => x / s));
  const through = [constant === "mean" || constant === "statistics" ? 0 : mean(ds),
    constant === "variance" || constant === "statistics" ? 0 : mean(ds.map((d, i) => mul(d, n[i])))];
  return ds.map((d, i) => d.map((x, j) => (x - through[0] - n[i][j] * through[1]) / s));
}

let blocks = { key: [], value: null }; // the last adjoint of a layer norm: its blocks are asked for one by one

// An expression as a function of values v (parameters among them), cotangents d and a mistake m. ``row`` is the target
// of the row it belongs to: a mistake names a derivative by it.
function compile(e, row) {
  if (typeof e === "number") return () => e;
  if (typeof e === "string") return e.startsWith("d.") ? (v, d) => d[e.slice(2)] : v => v[e];
  const [op, ...rest] = e, two = f => { const [a, b] = rest.map(x => compile(x, row)); return (v, d, m) => f(a(v, d, m), b(v, d, m)); };
  if (op === "+") return two(add);
  if (op === "*") return two(mul);
  if (op === "/") return two((a, b) => each((x, y) => x / y, a, b));
  if (op === "-") return two((a, b) => typeof a === "number" ? b.map(y => a - y) : sub(a, b));
  if (op === "lin") return two(lin);
  if (op === "nil") return two(nil);
  if (op === "outer") return two(outer);
  if (op === "neg") { const a = compile(rest[0], row); return (v, d, m) => scaled(-1, a(v, d, m)); }
  if (op === "f") { const [name, n, x] = rest, a = compile(x, row), f = FUNCTIONS[name][0]; return (v, d, m) => a(v, d, m).map(y => f(y, ...n)); }
  if (op === "d") {
    const [name, n, x] = rest, a = compile(x, row), [f, right] = FUNCTIONS[name];
    return (v, d, m) => { const w = m?.derivative?.[row];
      return a(v, d, m).map(w ? y => WRONG[w](z => f(z, ...n), z => right(z, ...n), y) : y => right(y, ...n)); };
  }
  if (op === "norm") { const bs = rest.slice(1).map(x => compile(x, row)); return (v, d, m) => normalise(bs.map(b => b(v, d, m)), rest[0]); }
  if (op === "dnorm") {
    const [part, eps, ...args] = rest, fs = args.map(x => compile(x, row)), n = args.length / 2;
    return (v, d, m) => { const all = fs.map(f => f(v, d, m)), key = [eps, m?.statistics, ...all];
      if (key.some((a, i) => a !== blocks.key[i])) blocks = { key, value: normaliseAdjoint(all.slice(0, n), all.slice(n), eps, m?.statistics) };
      return blocks.value[part]; };
  }
  throw new Error(`no operation ${op}`);
}
const namesIn = e => typeof e === "string" ? [e] : Array.isArray(e) ? e.slice({ f: 3, d: 3, norm: 2, dnorm: 3 }[e[0]] ?? 1).flatMap(namesIn) : [];

const grouped = terms => { const out = {}; for (const t of terms) (out[t.target] ??= []).push(t); return out; };
function compiled(cell) {
  const params = new Set(cell.params);
  const rows = cell.rows.map(([tag, targets, e, exact]) => ({ tag, targets, e, names: [...new Set(namesIn(e))],
    value: compile(exact ?? e, targets[0]), shown: compile(e, targets[0]), several: Array.isArray(e) && e[0] === "norm" }));
  const terms = cell.terms.map(([tag, target, sources, e]) => ({ tag, target, sources, e, param: params.has(target),
    through: params.has(target) ? [] : namesIn(e).filter(n => params.has(n)), value: compile(e, sources[0]) }));
  const activation = Object.fromEntries(rows.filter(r => r.e[0] === "f").map(r => [r.targets[0], r.e.slice(1)]));
  return { ...cell, rows, terms, activation, computed: rows.flatMap(r => r.targets), into: grouped(terms), inner: terms.filter(t => !t.param), outer: terms.filter(t => t.param) };
}

function step(cell, v, bump) {
  for (const { targets, value, shown, several } of cell.rows) {
    const found = (bump ? shown : value)(v); // where z is moved, 1 - z moves with it
    targets.forEach((k, i) => { v[k] = several ? found[i] : found; if (bump?.[0] === k) v[k] = bumped(v[k], bump); });
  }
  return v;
}
const bumped = (a, [, j, e]) => a.map((x, i) => i === j ? x + e : x);
function run(cell, params, xs, first, bumps = {}) {
  let state = first; const steps = [];
  xs.forEach((x, t) => {
    const v = Object.create(params), bump = bumps[t]; v.x = x;
    for (const k of cell.state) v[k + "_prev"] = state[k];
    if (bump && Object.hasOwn(v, bump[0])) v[bump[0]] = bumped(v[bump[0]], bump);
    steps.push(step(cell, v, bump)); state = v;
  });
  return steps;
}

// What a mistake puts in place of an array: a number, another array of the same step, or a change of it.
function source(s, record, k, t, steps, a = record[k]) {
  const at = n => steps[n][k], end = steps.length - 1;
  if (typeof s === "number") return filled(a, s);
  if (typeof s === "string") return record[s];
  const [how, n] = s;
  return { next: () => at(min(t + 1, end)), previous: () => at(max(t - 1, 0)), last: () => at(end), first: () => at(0),
    start: () => t ? a : filled(a), swapped: () => t ? a : record[n], times: () => scaled(n, a), T: () => transposed(a),
    tanh: () => record[n ?? k].map(Math.tanh), factor: () => mul(a, record[n]),
    slope: () => mul(a, record[n].map(FUNCTIONS.tanh[1])), clip: () => each(x => max(-n, min(n, x)), a) }[how]();
}
function changed(record, change, t, steps) {
  if (!change) return record;
  const whole = change["*"] ? Object.fromEntries(Object.keys(steps[t]).map(k => [k, change["*"]])) : change;
  const known = Object.entries(whole).filter(([k]) => record[k] !== undefined);
  return Object.assign(Object.create(record), Object.fromEntries(known.map(([k, s]) => [k, source(s, record, k, t, steps)])));
}

// The backward pass: cotangents, then parameter gradients as one sum over steps. given[t] and last are cotangents from
// outside; every term that a cotangent received is kept with its tag. ``m`` is a mistake, {} for none.
function back(cell, steps, given, last, m = {}) {
  [given, last] = admitted(given, last, m);
  const T = steps.length, ds = []; let carry = null;
  const saved = steps.map((v, t) => changed(v, m.saved, t, steps));
  const cut = t => m.every ? t % m.every === 0 : m.end ? t === T - m.end : false;
  for (let t = T - 1; t >= 0; t--) {
    const v = saved[t], d = {}, terms = {};
    const put = (name, tag, from, value) => { (terms[name] ??= []).push({ tag, from, value }); d[name] = d[name] ? add(d[name], value) : value; };
    for (const k of cell.state) {
      d[k] = filled(v[k]);
      if (given[t]?.[k]) put(k, "loss", [], given[t][k]);
      if (t === T - 1) { if (last?.[k]) put(k, "last", [], last[k]); }
      else put(k, "next", [], cut(t + 1) ? filled(v[k]) : carry[k]);
      if (m.arriving && k in m.arriving) {
        const a = source(m.arriving[k], v, k, t, steps, d[k]);
        terms[k] = [{ tag: "arriving", from: [], value: a }]; d[k] = a;
      }
    }
    const w = changed(changed(v, m.values, t, saved), m.params, t, saved);
    for (const { tag, target, sources, value } of cell.inner) put(target, tag, sources, value(w, d, m));
    for (const [k, s] of Object.entries(m.leaving ?? {})) {
      const name = k + "_prev"; if (!d[name]) continue;
      const a = typeof s === "number" ? scaled(s, d[name]) : source(s, d, name, t, ds);
      if (typeof s === "number") terms[name] = terms[name].map(q => ({ ...q, value: scaled(s, q.value) }));
      else terms[name].push({ tag: "lost", from: [], value: sub(a, d[name]) });
      d[name] = a;
    }
    carry = Object.fromEntries(cell.state.map(k => [k, d[k + "_prev"]])); ds[t] = { d, terms };
  }
  return { ds, ...contracted(cell, saved, ds, m), dfirst: T ? { ...carry, ...Object.fromEntries(Object.entries(m.first ?? {}).map(([k, n]) => [k, carry[k] && (n === "late" ? ds[0].d[k] : filled(carry[k]))]).filter(([, a]) => a)) } : last };
}
// The cotangents from outside as a mistake lets them in.
function admitted(given, last, m) {
  const end = given.length - 1, other = { next: t => min(t + 1, end), previous: t => max(t - 1, 0), reversed: t => end - t }[m.given];
  const out = given.map((g, t) => ({ ...g, h: other ? given[other(t)].h : m.given === "last only" && t < end || m.given === "not last" && t === end ? filled(g.h)
    : m.given === "double" ? scaled(2, g.h) : m.given === "last everywhere" && t < end ? add(g.h, last.h) : g.h }));
  return [out, m.last ? changed(last, m.last, 0, []) : last];
}
function contracted(cell, values, ds, m) {
  const T = ds.length, total = {}, parts = [], shift = { next: t => min(t + 1, T - 1), previous: t => max(t - 1, 0) }[m.deltas] ?? (t => t);
  for (let t = 0; t < T; t++) {
    const v = changed(values[t], m.contracted, t, values), d = ds[shift(t)].d, now = parts[t] = {};
    for (const { target, value } of cell.outer) { const a = value(v, d, m); now[target] = now[target] ? add(now[target], a) : a; }
    for (const [k, [how, a, b]] of Object.entries(m.products ?? {})) if (now[k]) now[k] = how === "outer" ? outer(d[a], v[b]) : mul(d[a], v[b]);
    for (const k of cell.params) total[k] = total[k] ? add(total[k], now[k] ?? filled(v[k])) : now[k] ?? filled(v[k]);
  }
  for (const [kind, t] of Object.entries(m.only ?? {})) for (const k of cell.params) if (k.startsWith(kind)) total[k] = parts[t < 0 ? T + t : t][k];
  const right = { ...total };
  for (const [k, s] of Object.entries(m.gradients ?? {})) for (const name of cell.params) {
    const factor = Array.isArray(s) ? { times: s[1], overT: 1 / T, byT: T }[s[0]] : null;
    if (factor !== null && (name.startsWith(k) || k === "all")) total[name] = scaled(factor, right[name]);
    else if (factor === null && name === k) total[name] = right[s];
  }
  return { parts, dparams: total };
}
