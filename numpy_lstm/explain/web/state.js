// What is shown: the state, which stands in the address, the numbers that were changed, and all that follows from them.
const CELLS = Object.fromEntries(Object.entries(DATA.cells).map(([k, c]) => [k, compiled(c)]));
const FAR = Object.fromEntries(Object.entries(DATA.far).map(([k, q]) => [k, compiled(q.cell)]));
const say = (key, o = {}) => DATA.words[key].replace(/\{(\w+)\}/g, (_, k) => o[k]);
const NUMBERS = {
  k: 0,
  t: 0,
  unit: 0,
  T: DATA.steps,
  bias: 0,
  scale: 1,
  far: 60,
  farBias: 0,
  farScale: 1,
  q: 0,
  at: 0,
};
const S = { cell: Object.keys(CELLS)[0], back: false, wrong: "", value: "", table: false, ...NUMBERS };
const LIMITS = { bias: [-6, 10], scale: [0, 4], x: [-2, 2], far: [2, 100], farBias: [-6, 10], farScale: [0, 4] };
let EDITS = {}; // by path: x.2.0, h.1, W_f.0.1

function readAddress() {
  let given;
  try {
    given = Object.fromEntries(new URLSearchParams(location.hash.slice(1)));
  } catch {
    return;
  }
  if (given.cell in CELLS) S.cell = given.cell;
  if (given.wrong in DATA.mistakes) S.wrong = given.wrong;
  if (given.value in (DATA.record?.gate_map.values ?? {})) S.value = given.value;
  for (const k of ["back", "table"]) S[k] = given[k] === "true";
  for (const k of Object.keys(NUMBERS))
    if (given[k] && isFinite(given[k]))
      S[k] = Math.max(LIMITS[k]?.[0] ?? 0, Math.min(LIMITS[k]?.[1] ?? 1e6, +given[k]));
  for (const part of (given.e ?? "").split(";")) {
    const [path, n] = part.split(":");
    if (n && isFinite(n) && reach(path)) EDITS[path] = +n;
  }
}
function writeAddress() {
  const out = { cell: S.cell };
  for (const k of ["back", "table", "wrong", "value"]) if (S[k]) out[k] = S[k];
  for (const [k, n] of Object.entries(NUMBERS)) if (S[k] !== n) out[k] = S[k];
  const e = Object.entries(EDITS)
    .map(([k, n]) => `${k}:${n}`)
    .join(";");
  if (e) out.e = e;
  try {
    history.replaceState(null, "", "#" + new URLSearchParams(out));
  } catch {
    /* a frame without an address */
  }
}
// The array and place that a path of the case names: null if there is none.
function reach(path, q = DATA.cases[S.cell]) {
  const [name, ...places] = path.split("."),
    at = places.map(Number);
  let a = name === "x" ? q.xs : (q.first[name] ?? q.params[name]);
  for (const i of at.slice(0, -1)) a = a?.[i];
  return at.length && typeof a?.[at.at(-1)] === "number" ? [a, at.at(-1)] : null;
}
function set(change) {
  const other = change.cell && change.cell !== S.cell;
  Object.assign(S, change);
  if (other) {
    EDITS = {};
    S.k = 0;
    S.unit = 0;
    if (S.wrong && !mistakes().includes(S.wrong)) S.wrong = "";
  }
  draw();
}
const edit = (path, n) => {
  if (isFinite(n)) {
    EDITS[path] = n;
    draw();
  }
};
const mistakes = () => {
  const n = Object.keys(CELLS).indexOf(S.cell);
  return Object.keys(DATA.mistakes).filter(k => DATA.mistakes[k][1].includes(n));
};
const about = label => {
  const [says, source] = DATA.said[label.split("[")[0]];
  return { says, source };
};

// The problem that is shown: the case with its sliders and changed numbers; ``more`` is put over the state.
function problem(more = {}) {
  const s = { ...S, ...more },
    q = structuredClone(DATA.cases[s.cell]),
    cell = CELLS[s.cell];
  if (s.cell === S.cell)
    for (const [path, n] of Object.entries(EDITS)) {
      const found = reach(path, q);
      if (found) found[0][found[1]] = n;
    }
  const T = Math.max(1, Math.min(s.T, q.xs.length));
  for (const k of cell.params) if (isMatrix(q.params[k])) q.params[k] = scaled(s.scale, q.params[k]);
  if (cell.bias) q.params[cell.bias] = q.params[cell.bias].map(x => x + (cell.shuts ? -s.bias : s.bias));
  if (s.zero) for (const k of cell.state) q.first[k] = filled(q.first[k]);
  const given = Array.from({ length: T }, (_, t) =>
    Object.fromEntries(Object.entries(q.given).map(([k, a]) => [k, a[t]])),
  );
  return { cell, params: q.params, xs: q.xs.slice(0, T), first: q.first, given, last: q.last, T };
}
const loss = (p, steps) =>
  steps.reduce((s, v, t) => s + Object.entries(p.given[t]).reduce((z, [k, w]) => z + dot(w, v[k]), 0), 0) +
  Object.entries(p.last).reduce((s, [k, w]) => s + dot(w, steps.at(-1)[k]), 0);
let memo = {},
  memoKey = "";
function compute(wrong = "", more = {}) {
  const key = JSON.stringify([S.cell, S.T, S.bias, S.scale, EDITS]),
    name = wrong + JSON.stringify(more);
  if (key !== memoKey) {
    memo = {};
    memoKey = key;
  }
  return (memo[name] ??= (() => {
    const p = problem(more),
      steps = run(p.cell, p.params, p.xs, p.first);
    return {
      ...p,
      steps,
      loss: loss(p, steps),
      ...back(p.cell, steps, p.given, p.last, wrong ? DATA.mistakes[wrong][0] : {}),
    };
  })());
}
// dL by moving one number, a value of step t or a parameter, a little: two distances each way, whose errors cancel.
const MOVED = 2e-4;
function moved(name, t, j, i) {
  const p = compute(),
    before = t === null ? null : Object.fromEntries(p.cell.state.map(k => [k, p.steps[t][k + "_prev"]])),
    rest = { ...p, given: p.given.slice(t ?? 0) },
    at = e => {
      if (t !== null) return loss(rest, run(p.cell, p.params, p.xs.slice(t), before, { 0: [name, j, e] }));
      const a = copied(p.params[name]);
      if (i === undefined) a[j] += e;
      else a[j][i] += e;
      return loss(p, run(p.cell, { ...p.params, [name]: a }, p.xs, p.first));
    };
  return (8 * (at(MOVED) - at(-MOVED)) - (at(2 * MOVED) - at(-2 * MOVED))) / (12 * MOVED);
}
// How the number found by moving agrees with the derived one: in digits, "small" where it cannot be seen, "no" where not.
function agreement(found, derived, L) {
  if (found === 0 && derived === 0) return { kind: "yes", digits: 12 };
  if (abs(derived) < 1e-6 * max(abs(L), 1e-6) && abs(found) < 2e-6 * max(abs(L), 1e-6)) return { kind: "small" };
  const digits = Math.min(12, Math.floor(-Math.log10(abs(found - derived) / abs(derived) || 1e-13)));
  return { kind: digits >= 6 ? "yes" : "no", digits };
}
const differs = (a, b) => abs(a - b) > 1e-9 * max(abs(a), abs(b), 1e-3);
function show(x, digits = 4) {
  if (x === undefined || x === null || isNaN(x)) return "–";
  const short = +x.toFixed(3) === x,
    small = x !== 0 && (abs(x) < 10 ** -digits || abs(x) >= 1e6);
  return (small ? x.toExponential(2) : short ? String(+x.toFixed(3)) : x.toFixed(digits)).replaceAll("-", "−");
}
// The rows in order: forward as they stand; backward each cotangent once, with all the terms that it collects.
function rowsNow(cell = CELLS[S.cell]) {
  if (!S.back)
    return cell.rows.flatMap(r =>
      r.targets.map((target, part) => ({ ...r, target, part, froms: r.names.filter(k => !cell.params.includes(k)) })),
    );
  return [...[...cell.computed].reverse(), "x", ...cell.state.map(k => k + "_prev")].map(target => {
    const terms = cell.into[target] ?? [];
    return {
      target,
      terms,
      tag: [...new Set(terms.map(t => t.tag))].join(", ") || say("arriving"),
      froms: [...new Set(terms.flatMap(t => t.sources))],
    };
  });
}
function go(k, t = S.t) {
  const rows = rowsNow(),
    T = compute().T,
    way = S.back ? -1 : 1;
  if (k >= rows.length) {
    if (t + way < 0 || t + way >= T) return;
    t += way;
    k = 0;
  } else if (k < 0) {
    if (t - way < 0 || t - way >= T) return;
    t -= way;
    k = rows.length - 1;
  }
  set({ k, t });
}
function turn(back) {
  const T = compute().T;
  set({ back, k: 0, t: back ? T - 1 : 0 });
}
function select(name) {
  const k = rowsNow().findIndex(r => r.target === name);
  if (k >= 0) set({ k });
}
