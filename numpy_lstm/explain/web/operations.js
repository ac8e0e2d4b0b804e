// The vocabulary of the rows, and how an expression is compiled. A vector is an array, a matrix an array of its rows; one
// row of a batch. In float64, like numpy_lstm; sums run from left to right.
const isMatrix = a => Array.isArray(a[0]);
const each = (f, ...as) =>
  isMatrix(as[0]) ? as[0].map((_, i) => each(f, ...as.map(a => a[i]))) : as[0].map((_, i) => f(...as.map(a => a[i])));
const add = (a, b) => (isMatrix(a) ? a.map((r, i) => add(r, b[i])) : a.map((x, i) => x + b[i]));
const sub = (a, b) => (isMatrix(a) ? a.map((r, i) => sub(r, b[i])) : a.map((x, i) => x - b[i]));
const mul = (a, b) => (isMatrix(a) ? a.map((r, i) => mul(r, b[i])) : a.map((x, i) => x * b[i]));
const scaled = (n, a) => (isMatrix(a) ? a.map(r => scaled(n, r)) : a.map(x => n * x));
const filled = (a, n = 0) => (isMatrix(a) ? a.map(r => filled(r, n)) : a.map(() => n));
const copied = a => (isMatrix(a) ? a.map(r => [...r]) : [...a]);
const norm = a => Math.hypot(...a.flat());
const transposed = a => a[0].map((_, j) => a.map(r => r[j]));
const dot = (a, b) => {
  let s = 0;
  for (let k = 0; k < a.length; k++) s += a[k] * b[k];
  return s;
};
// f of a number and an array, in either order, or of two numbers; ``whole`` of two arrays.
const mixed = (f, whole) => (a, b) => {
  if (typeof b === "number") return typeof a === "number" ? f(a, b) : a.map(x => f(x, b));
  return typeof a === "number" ? b.map(y => f(a, y)) : whole(a, b);
};
const ARITHMETIC = {
  "+": mixed((x, y) => x + y, add),
  "-": mixed((x, y) => x - y, sub),
  "*": mixed((x, y) => x * y, mul),
  "/": mixed(
    (x, y) => x / y,
    (a, b) => each((x, y) => x / y, a, b),
  ),
};
const lin = (x, W) => W.map(row => dot(row, x)); // x W^T
const nil = (d, W) =>
  W[0].map((_, k) => {
    let s = 0;
    for (let j = 0; j < d.length; j++) s += d[j] * W[j][k];
    return s;
  });
const outer = (d, x) => d.map(y => x.map(z => y * z));

// Functions of the pre-activation and their derivatives, each without cancellation, as in numpy_lstm.activations.
const { exp, abs, max, min, log1p } = Math;
const bell = e => e / ((1 + e) * (1 + e));
const logistic = x => {
  const e = exp(-abs(x));
  return x >= 0 ? 1 / (1 + e) : e / (1 + e);
};
const FUNCTIONS = {
  sigmoid: [logistic, x => bell(exp(-abs(x)))],
  tanh: [Math.tanh, x => 4 * bell(exp(-2 * abs(x)))],
  relu: [x => max(x, 0), x => +(x > 0)],
  identity: [x => x, () => 1],
  one: [() => 1, () => 0],
  softsign: [x => x / (1 + abs(x)), x => 1 / ((1 + abs(x)) * (1 + abs(x)))],
  softplus: [x => max(x, 0) + log1p(exp(-abs(x))), logistic],
  affine: [(x, a, b) => a * x + b, (x, a) => a],
  leaky_relu: [(x, a) => (x > 0 ? x : a * x), (x, a) => (x > 0 ? 1 : a)],
  thresholded_relu: [(x, a) => (x < a ? 0 : x), (x, a) => (x < a ? 0 : 1)],
  scaled_tanh: [(x, a, b) => a * Math.tanh(b * x), (x, a, b) => a * b * FUNCTIONS.tanh[1](b * x)],
  hard_sigmoid: [(x, a, b) => max(0, min(1, a * x + b)), (x, a, b) => (a * x + b > 0 && a * x + b < 1 ? a : 0)],
  elu: [(x, a) => (x > 0 ? x : a * Math.expm1(x)), (x, a) => (x > 0 ? 1 : a * exp(x))],
  clip: [(x, n) => max(-n, min(n, x)), (x, n, through) => (through || abs(x) <= n ? 1 : 0)],
};
// What a mistake takes for the derivative of f at x; d is the right one.
const WRONG = {
  one: () => 1,
  zero: () => 0,
  sign: (f, d, x) => -d(x),
  double: (f, d, x) => 2 * d(x),
  twice: (f, d, x) => d(x) * d(x),
  ofValue: (f, d, x) => d(f(x)),
  value: (f, d, x) => f(x),
  complement: (f, d, x) => 1 - f(x),
  logistic: (f, d, x) => f(x) * (1 - f(x)),
  bend: (f, d, x) => 1 - f(x) * f(x),
  plus: (f, d, x) => 1 + f(x) * f(x),
  square: (f, d, x) => 1 - x * x,
  raw: (f, d, x) => x * (1 - x),
};

const mean = bs => {
  const f = bs.flat();
  return f.reduce((s, x) => s + x, 0) / f.length;
};
function centre(bs, eps) {
  const m = mean(bs),
    c = bs.map(b => b.map(x => x - m));
  return [c, Math.sqrt(mean(c.map(b => b.map(x => x * x))) + eps)];
}
const normalise = (bs, eps) => {
  const [c, s] = centre(bs, eps);
  return c.map(b => b.map(x => x / s));
};
function normaliseAdjoint(ds, bs, eps, constant = "") {
  const [c, s] = centre(bs, eps),
    n = c.map(b => b.map(x => x / s));
  const through = [
    constant === "mean" || constant === "statistics" ? 0 : mean(ds),
    constant === "variance" || constant === "statistics" ? 0 : mean(ds.map((d, i) => mul(d, n[i]))),
  ];
  return ds.map((d, i) => d.map((x, j) => (x - through[0] - n[i][j] * through[1]) / s));
}

let blocks = { key: [], value: null }; // the last adjoint of a layer norm: its blocks are asked for one by one

// An expression as a function of values v (parameters among them), cotangents d and a mistake m. ``row`` is the target
// of the row it belongs to: a mistake names a derivative by it.
function compile(e, row) {
  if (typeof e === "number") return () => e;
  if (typeof e === "string") return e.startsWith("d.") ? (v, d) => d[e.slice(2)] : v => v[e];
  const [op, ...rest] = e,
    two = f => {
      const [a, b] = rest.map(x => compile(x, row));
      return (v, d, m) => f(a(v, d, m), b(v, d, m));
    };
  if (op in ARITHMETIC) return two(ARITHMETIC[op]);
  if (op === "lin") return two(lin);
  if (op === "nil") return two(nil);
  if (op === "outer") return two(outer);
  if (op === "neg") {
    const a = compile(rest[0], row);
    return (v, d, m) => scaled(-1, a(v, d, m));
  }
  if (op === "f") {
    const [name, n, x] = rest,
      a = compile(x, row),
      f = FUNCTIONS[name][0];
    return (v, d, m) => a(v, d, m).map(y => f(y, ...n));
  }
  if (op === "d") {
    const [name, n, x] = rest,
      a = compile(x, row),
      [f, right] = FUNCTIONS[name];
    return (v, d, m) => {
      const w = m?.derivative?.[row];
      return a(v, d, m).map(
        w
          ? y =>
              WRONG[w](
                z => f(z, ...n),
                z => right(z, ...n),
                y,
              )
          : y => right(y, ...n),
      );
    };
  }
  if (op === "norm") {
    const bs = rest.slice(1).map(x => compile(x, row));
    return (v, d, m) =>
      normalise(
        bs.map(b => b(v, d, m)),
        rest[0],
      );
  }
  if (op === "dnorm") {
    const [part, eps, ...args] = rest,
      fs = args.map(x => compile(x, row)),
      n = args.length / 2;
    return (v, d, m) => {
      const all = fs.map(f => f(v, d, m)),
        key = [eps, m?.statistics, ...all];
      if (key.some((a, i) => a !== blocks.key[i]))
        blocks = { key, value: normaliseAdjoint(all.slice(0, n), all.slice(n), eps, m?.statistics) };
      return blocks.value[part];
    };
  }
  throw new Error(`no operation ${op}`);
}
