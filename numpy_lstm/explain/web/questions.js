// E. Check yourself: a hidden number to type, named if it is that of a known mistake; and twelve questions.
const random = seed => {
  let s = seed + 1;
  return () => {
    s = (Math.imul(s ^ (s >>> 15), 2246822519) + 0x9e3779b9) | 0;
    return ((s ^ (s >>> 13)) >>> 0) / 2 ** 32;
  };
};
const asked = { on: false, text: "", answer: null };
function target() {
  const r = compute(),
    draw = random(S.q * 7919),
    names = [...r.cell.computed].filter(k => k !== "h" || r.T > 1);
  const name = names[Math.floor(draw() * names.length)],
    t = Math.floor(draw() * r.T),
    j = Math.floor(draw() * r.steps[t][name].length);
  return { name, t, j, right: r.ds[t].d[name][j] };
}
const hidden = name => {
  if (!asked.on || !S.back) return false;
  const q = target();
  return q.name === name && q.t === S.t && q.j === S.unit;
};
const close = (a, b) => abs(a - b) <= 6e-4 * max(abs(a), abs(b), 1e-12);
// The mistakes that give this number there, the simplest first, three at most.
function whose(name, t, j, x) {
  return mistakes()
    .filter(label => {
      const z = compute(label).ds[t].d[name][j];
      return close(z, x);
    })
    .slice(0, 3);
}
function answer() {
  const q = target(),
    x = Number(asked.text.replace(",", ".").replace("−", "-"));
  if (!asked.text.trim() || !isFinite(x)) asked.answer = { kind: "none" };
  else if (close(x, q.right)) asked.answer = { kind: "right" };
  else asked.answer = { kind: "wrong", names: whose(q.name, q.t, q.j, x) };
  draw();
}
function hiddenNumber() {
  const q = target(),
    a = asked.answer;
  return html`<div class="hidden"><h3>${say("hidden number")}</h3>
    <p>${say("what is", { name: text(q.name), t: q.t + 1, unit: q.j + 1 })}</p>
    <p><label>${say("your number")} <input type="text" inputmode="decimal" .value=${asked.text} @input=${e => {
      asked.on = true;
      asked.text = e.target.value;
    }} @keydown=${e => {
      if (e.key === "Enter") answer();
    }}></label>
      <button class="primary" @click=${answer}>${say("check")}</button>
      <button @click=${() => {
        asked.on = true;
        set({ back: true, t: q.t, unit: q.j });
        select(q.name);
      }}>${say("go there")}</button>
      <button @click=${() => {
        Object.assign(asked, { on: false, text: "", answer: null });
        set({ q: S.q + 1 });
      }}>${say("another")}</button></p>
    <div role="status">${
      !a
        ? nothing
        : a.kind === "right"
          ? html`<p class="good">✓ ${say("it is right", { n: show(q.right, 6) })}</p>`
          : a.kind === "none"
            ? html`<p>${say("not a number")}</p>`
            : a.names.length
              ? html`<p class="poor">✗ ${say("that is what you get if")}</p><ul>${a.names.map(n => html`<li>
                <strong>${n}</strong>: ${about(n).says}</li>`)}</ul>`
              : html`<p class="poor">✗ ${say("none that we know")}</p>`
    }</div></div>`;
}
// The questions, on the LSTM. ``of`` reads the number from a run; wrong answers are [label, number or what reads it].
const dh =
    (t, j = 0) =>
    z =>
      z.ds[t < 0 ? z.T + t : t].d.h[j],
  dc =
    (t, j = 0) =>
    z =>
      z.ds[t < 0 ? z.T + t : t].d.c[j];
const all = z => Math.hypot(...z.cell.params.map(k => norm(z.dparams[k])));
const QUESTIONS = [
  {
    id: "four gates",
    of: z => z.ds[1].d.h_prev[0],
    wrong: ["gate-omitted-in-dh[f]", "gates-weights-exchanged-in-backward[if]", "recurrent-weights-transposed[all]"],
  },
  {
    id: "forget bias",
    more: { bias: 3 },
    of: z => z.dfirst.c[0],
    wrong: ["forget-gate-missing-in-carry", "carry-from-input-gate", "cell-cotangent-overwritten"],
  },
  {
    id: "h_n and output",
    of: dh(-1),
    wrong: ["last-output-cotangent-overwritten", "last-state-cotangent-ignored[h]", "last-state-cotangent-doubled[h]"],
  },
  {
    id: "packing",
    more: { T: 3 },
    of: dh(2),
    wrong: [
      ["padding-in-the-backward-pass", z => z.padded.ds[2].d.h[0]],
      ["last-state-cotangent-of-short-rows-lost", z => z.given[2].h[0]],
      "last-output-cotangent-overwritten",
    ],
  },
  {
    id: "clipping",
    of: z => z.dparams.b_g[0] * min(1, 1 / all(z)),
    wrong: [
      ["each-norm-clipped[1]", z => z.dparams.b_g[0] * min(1, 1 / norm(z.dparams.b_g))],
      ["clipped-at-the-end[1]", z => max(-1, min(1, z.dparams.b_g[0]))],
      ["scaled-by-learning-rate[0.01]", z => 0.01 * z.dparams.b_g[0]],
    ],
  },
  {
    id: "detaching",
    right: "truncated-windows[2]",
    of: z => z.dparams.U_f[0][0],
    wrong: [["not truncated", z => z.plain.dparams.U_f[0][0]], "immediate-derivative", "truncated-at-the-end[1]"],
  },
  {
    id: "perplexity",
    of: () => exp((3 * 1.2 + 5 * 2) / 8),
    wrong: [
      ["mean-of-sequence-means", () => exp((1.2 + 2) / 2)],
      ["padding-in-the-mean", () => exp((3 * 1.2 + 5 * 2) / 10)],
      ["perplexities averaged", () => (3 * exp(1.2) + 5 * exp(2)) / 8],
    ],
  },
  {
    id: "rnn and lstm",
    of: z => z.dfirst.c[0],
    wrong: ["carry-through-tanh-derivative", "carry-through-output-gate", "cell-carry-dropped"],
  },
  {
    id: "the join at c",
    of: dc(1),
    wrong: ["cell-cotangent-overwritten", "output-path-to-cell-missing", "output-path-to-cell-twice"],
  },
  {
    id: "tanh of c",
    of: dc(-1),
    wrong: ["tanh-derivative-of-tanh", "one-minus-cell-squared", "tanh-derivative-missing"],
  },
  {
    id: "which h",
    of: z => z.dparams.U_f[0][0],
    wrong: ["recurrent-gradient-from-new-state", "initial-state-missing-in-recurrent-gradient", "gradient-overwritten"],
  },
  {
    id: "candidate",
    of: z => z.ds[1].d.a_g[0],
    wrong: [
      "candidate-derivative-of-sigmoid[g]",
      "candidate-derivative-missing[g]",
      "candidate-derivative-of-activation[g]",
    ],
  },
];
const chosen = {};
function options(q) {
  const base = { cell: "LSTM", T: 4, bias: 0, scale: 1, ...q.more },
    right = compute(q.right ?? "", base),
    plain = compute("", base);
  const list = [
    { label: null, value: q.of(right) },
    ...q.wrong.map(w =>
      Array.isArray(w)
        ? {
            label: w[0],
            value: w[1](Object.assign(Object.create(plain), { plain, padded: compute("", { ...base, T: 4 }) })),
          }
        : { label: w, value: q.of(compute(w, base)) },
    ),
  ];
  const turn = random(S.q * 31 + QUESTIONS.indexOf(q)),
    order = list
      .map(o => [turn(), o])
      .sort((a, b) => a[0] - b[0])
      .map(p => p[1]);
  return order.filter((o, i) => order.findIndex(p => show(p.value) === show(o.value)) === i || o.label === null);
}
const explained = label =>
  label.split("[")[0] in DATA.said ? html`<strong>${label}</strong>: ${about(label).says}` : say(label);
function question(q, n) {
  const list = options(q),
    picked = list.find(o => show(o.value) === chosen[q.id]);
  return html`<fieldset><legend>${n + 1}. ${say("Q " + q.id, { right: "" })}</legend>
    ${list.map(
      o =>
        html`<label class="choice"><input type="radio" name=${"q" + n} .checked=${picked === o} @change=${() => {
          chosen[q.id] = show(o.value);
          draw();
        }}> ${show(o.value)}</label>`,
    )}
    <div role="status">${!picked ? nothing : picked.label === null ? html`<p class="good">✓ ${say("A " + q.id)}</p>` : html`<p class="poor">✗ ${say("that is what you get if")} ${explained(picked.label)}</p>`}</div></fieldset>`;
}
function sectionQuestions() {
  const right = QUESTIONS.filter(q => solved(q)).length;
  return html`<section id="E" aria-labelledby="E-title"><h2 id="E-title">${say("E")}</h2>${hiddenNumber()}
    ${
      DATA.cases.LSTM?.xs.length >= 4
        ? html`<h3>${say("questions", { n: QUESTIONS.length })}</h3><p>${say("questions text")}</p>
          <div class="questions">${QUESTIONS.map(question)}</div><p>${say("score", { right, n: QUESTIONS.length })}</p>
      <button @click=${() => {
        for (const k in chosen) delete chosen[k];
        set({ q: S.q + 1 });
      }}>${say("again")}</button>`
        : nothing
    }</section>`;
}
const solved = q =>
  chosen[q.id] !== undefined && options(q).find(o => o.label === null && show(o.value) === chosen[q.id]);
