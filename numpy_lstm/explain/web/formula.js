// Formulas from the rows: as MathML, each symbol selecting its node, and as text with the numbers of one unit put in.
const BASES = { gain: "γ", shift: "β", keep: "k" };
function symbol(name) {
  const bar = name.startsWith("d."),
    plain = bar ? name.slice(2) : name,
    prev = plain.endsWith("_prev");
  const [base, ...rest] = plain.replace(/_prev$/, "").split("_"),
    letter = BASES[base] ?? base;
  return { bar, prev, base: letter, sub: rest.join(" "), plain };
}
function text(name) {
  const { bar, prev, base, sub } = symbol(name),
    under = [sub, prev ? "t−1" : ""].filter(Boolean).join(",");
  return (bar ? "∂" : "") + base + (under ? "_" + under : "");
}
function mi(name) {
  const { bar, prev, base, sub, plain } = symbol(name),
    letter = mathml`<mi>${base}</mi>`;
  const over = bar ? mathml`<mover accent="true">${letter}<mo stretchy="false">¯</mo></mover>` : letter;
  const whole =
    sub || prev
      ? mathml`<msub>${over}<mrow>${sub ? mathml`<mi>${sub}</mi>` : nothing}${sub && prev ? mathml`<mo>,</mo>` : nothing}${prev ? mathml`<mi>t</mi><mo>−</mo><mn>1</mn>` : nothing}</mrow></msub>`
      : over;
  return mathml`<mrow class="symbol" @click=${() => select(plain)}>${whole}</mrow>`;
}
const SIGNS = { "+": "+", "-": "−", "*": "⊙", "/": "/" };
const NAMES = { sigmoid: "σ" };
const commas = list => list.map((x, i) => (i ? mathml`<mo>,</mo>${x}` : x));
const bracket = inner => mathml`<mo stretchy="false">(</mo>${inner}<mo stretchy="false">)</mo>`;
// How strongly a form holds together, and how strongly the two sides of a sign must.
const HOLDS = { "+": 1, "-": 1, neg: 1, "/": 2, "*": 3, lin: 3, nil: 3, outer: 3 };
const SIDES = { "+": [1, 1], "-": [1, 2], "*": [3, 3], "/": [3, 4] };
const holds = e => (Array.isArray(e) ? (HOLDS[e[0]] ?? 4) : 4);
function tree(e, least = 0) {
  if (holds(e) < least) return bracket(tree(e));
  if (typeof e === "number") return mathml`<mn>${e}</mn>`;
  if (typeof e === "string") return mi(e);
  const [op, ...rest] = e;
  if (op in SIGNS) {
    const [left, right] = rest.map((x, i) => tree(x, SIDES[op][i]));
    return mathml`${left}<mo>${SIGNS[op]}</mo>${right}`;
  }
  if (op === "neg") return mathml`<mo>−</mo>${tree(rest[0], 2)}`;
  if (op === "lin") return mathml`${tree(rest[0], 3)}<msup>${tree(rest[1])}<mo>⊤</mo></msup>`;
  if (op === "nil") return mathml`${tree(rest[0], 3)}<mspace width=".17em"></mspace>${tree(rest[1])}`;
  if (op === "outer") return mathml`<msup>${tree(rest[0])}<mo>⊤</mo></msup>${tree(rest[1])}`;
  if (op === "f" || op === "d") {
    const name = mathml`<mi>${NAMES[rest[0]] ?? rest[0]}</mi>`;
    return mathml`${op === "d" ? mathml`<msup>${name}<mo>′</mo></msup>` : name}${bracket(tree(rest[2]))}`;
  }
  const blocks = rest.slice(op === "norm" ? 1 : 2);
  return mathml`<mi>${op === "norm" ? "norm" : "norm′"}</mi>${bracket(commas(blocks.map(b => tree(b))))}`;
}
function formula(row) {
  const cell = CELLS[S.cell],
    parts = S.back ? row.terms.map(t => tree(t.e)) : [tree(row.e)];
  if (S.back && cell.state.includes(row.target))
    parts.unshift(mathml`<msub>${mi("d." + row.target)}<mtext>${say("arriving")}</mtext></msub>`);
  const left = S.back ? mi("d." + row.target) : commas((row.targets ?? [row.target]).map(mi));
  const right = parts.map((x, i) => (i ? mathml`<mo>+</mo>${x}` : x));
  return html`<p class="formula" tabindex="0" role="group" aria-label=${say("formula")}><math display="block">
    <mrow>${left}<mo>=</mo>${right}</mrow></math></p>`;
}
// The expression with the numbers of unit j.
function putIn(e, v, d, j, least = 0) {
  const sums = e[0] === "lin" || e[0] === "nil";
  if (least && (sums ? 1 : holds(e)) < least) return `(${putIn(e, v, d, j)})`;
  const of = (a, i = j) => {
    const n = show(a[Math.min(i, a.length - 1)]);
    return n.startsWith("−") ? `(${n})` : n;
  };
  const array = x => (typeof x === "string" ? (x.startsWith("d.") ? d[x.slice(2)] : v[x]) : compile(x)(v, d, {}));
  if (typeof e === "number") return String(e);
  if (typeof e === "string") return of(array(e));
  const [op, ...rest] = e;
  if (op in SIGNS)
    return rest.map((x, i) => putIn(x, v, d, j, SIDES[op][i])).join(` ${op === "*" ? "·" : SIGNS[op]} `);
  if (op === "neg") return `−${putIn(rest[0], v, d, j, 2)}`;
  if (op === "lin") {
    const a = array(rest[0]),
      w = array(rest[1])[Math.min(j, array(rest[1]).length - 1)];
    return sum(w.map((_, k) => `${of(a, k)}·${of(w, k)}`));
  }
  if (op === "nil") {
    const a = array(rest[0]),
      w = array(rest[1]);
    return sum(w.map((row, i) => `${of(a, i)}·${of(row)}`));
  }
  if (op === "f" || op === "d")
    return `${NAMES[rest[0]] ?? rest[0]}${op === "d" ? "′" : ""}(${putIn(rest[2], v, d, j).replace(/^\((−[\d.e−]+)\)$/, "$1")})`;
  return op === "norm" ? `norm(${say("all units")})` : `norm′(${say("all units")})`;
}
const sum = list => (list.length > 8 ? [...list.slice(0, 8), "…"].join(" + ") : list.join(" + "));
