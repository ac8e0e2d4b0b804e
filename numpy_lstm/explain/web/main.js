// The document: the bar, the sections, the keys.
function python() {
  const r = compute(),
    list = x => JSON.stringify(x),
    q = DATA.cells[S.cell],
    params = r.cell.params,
    state = r.cell.state;
  const rows = k => `np.array(${list(r.given.map(g => g[k]))}, float)[:, None]`,
    gives = r.cell.gives;
  const record = (kind, names, of, one = false) =>
    `cell.${kind}(${names.map(k => `\n    ${k}=np.array(${one ? "[" : ""}${list(of[k])}${one ? "]" : ""}, float)`).join(",")},\n)`;
  return `"""${say("script", { cell: S.cell, T: r.T })}"""
import numpy as np
import numpy_lstm as nl
from numpy_lstm.cases.network import Network

cell = Network(${list(q.named)}, ${q.projection}).of_cell()
params = ${record("Params", params, r.params)}
first = ${record("State", state, r.first, true)}
last = ${record("State", state, r.last, true)}
xs = np.array(${list(r.xs)}, float)[:, None]
run = nl.forward(cell, params, xs, first)
back = nl.backward(cell, params, run, dhs=${rows(gives)}, dlast=last${r.given[0].c ? `, dcs=${rows("c")}` : ""})
page = {${params.map(k => `\n    "${k}": ${list(r.dparams[k])},`).join("")}
}
for name, gradient in page.items():
    right = getattr(back.dparams, name)
    assert np.linalg.norm(gradient - right) <= 1e-10 * np.linalg.norm(right), name
print("${say("agree")}")
`;
}
const SECTIONS = ["A", "B", "C", "D", "E", ...(DATA.record ? ["F"] : [])];
let notice = "";
async function copy() {
  try {
    await navigator.clipboard.writeText(python());
    notice = say("copied");
  } catch {
    notice = say("copy by hand");
    document.getElementById("python").open = true;
  }
  draw();
}
function bar() {
  const units = CELLS[S.cell].signal,
    n = DATA.cases[S.cell].first[units].length;
  return html`<header><h1>${say("h1", { cell: S.cell })}</h1>
    <nav class="jump" aria-label=${say("sections")}>${SECTIONS.map(
      k =>
        html`<a href=${"#" + k} @click=${e => {
          e.preventDefault();
          const at = document.getElementById(k);
          at.scrollIntoView();
          at.querySelector("h2").focus();
        }}>${say(k)}</a>`,
    )}</nav>
    <div class="bar" role="group" aria-label=${say("what")}>
      <label>${say("cell")} <select @change=${e => set({ cell: e.target.value })}>${Object.keys(CELLS).map(k => html`<option value=${k} ?selected=${k === S.cell}>${k}</option>`)}</select></label>
      <label>${say("unit")} <select @change=${e => set({ unit: +e.target.value })}>${Array.from({ length: n }, (_, j) => html`<option value=${j} ?selected=${j === S.unit}>${j + 1}</option>`)}</select></label>
      <div role="group" class="pair" aria-label=${say("direction")}>
        <button aria-pressed=${!S.back} @click=${() => turn(false)}>${say("forward")}</button>
        <button aria-pressed=${S.back} @click=${() => turn(true)}>${say("backward")}</button></div>
      <span class="pick">${menu("wrong-1")}</span><button @click=${copy}>${say("copy")}</button>
        <button @click=${() => document.getElementById("keys").showModal()}>${say("keys")}</button></div>
    <p role="status" class="muted">${notice}</p></header>`;
}
function keys() {
  return html`<dialog id="keys" aria-labelledby="keys-title"><h2 id="keys-title">${say("keys")}</h2>
    <dl>${["← →", "↑ ↓", "b", "u", "c", "?"].map(k => html`<dt><kbd>${k}</kbd></dt><dd>${say("key " + k)}</dd>`)}</dl>
    <form method="dialog"><button>${say("close")}</button></form></dialog>`;
}
function app() {
  const rows = rowsNow(),
    T = compute().T;
  S.k = Math.min(S.k, rows.length - 1);
  S.t = Math.min(S.t, T - 1);
  const right = compute(),
    r = S.back && S.wrong ? compute(S.wrong) : right,
    wrong = S.wrong ? compute(S.wrong) : right;
  return html`${bar()}<main>${
    S.back && S.wrong
      ? html`<p class="broken"
    role="status">${say("broken", { name: S.wrong })}</p>`
      : nothing
  }
    ${sectionStep(r, right, rows)}${sectionTime(right, right)}${sectionFar()}${sectionBroken(wrong, right)}${sectionQuestions()}${sectionTraining()}
    <section aria-labelledby="python-title"><h2 id="python-title">${say("as python")}</h2>
      <details id="python" @toggle=${draw}><summary>${say("show script")}</summary>
      <pre tabindex="0" role="region"
        aria-label=${say("copy")}>${document.getElementById("python")?.open ? python() : nothing}</pre></details></section></main>
    <footer><p>${say("about")}</p></footer>${keys()}`;
}
const root = document.getElementById("app");
let queued = 0,
  writing = 0;
function now() {
  const t = performance.now();
  queued = 0;
  render(app(), root);
  clearTimeout(writing);
  writing = setTimeout(writeAddress, 250);
  bringToMiddle();
  window.page.drawn = performance.now() - t;
}
function draw() {
  queued ||= requestAnimationFrame(now);
}
function check() {
  const { target } = rowsNow()[S.k],
    j = unitOf(compute().steps[S.t][target]),
    r = compute(),
    a = agreement(moved(target, S.t, j), r.ds[S.t].d[target][j], r.loss);
  notice = `${text(target)}: ${say("moved " + a.kind, { n: a.digits })}`;
  draw();
  document.getElementById("moved")?.scrollIntoView({ block: "nearest" });
}
const KEYS = {
  ArrowRight: () => go(S.k + 1),
  ArrowLeft: () => go(S.k - 1),
  ArrowUp: () => set({ t: Math.min(S.t + 1, compute().T - 1) }),
  ArrowDown: () => set({ t: Math.max(S.t - 1, 0) }),
  b: () => turn(!S.back),
  u: () => set({ unit: (S.unit + 1) % DATA.cases[S.cell].first[CELLS[S.cell].signal].length }),
  c: check,
  "?": () => document.getElementById("keys").showModal(),
};
addEventListener("keydown", e => {
  if (
    e.ctrlKey ||
    e.metaKey ||
    e.altKey ||
    /INPUT|SELECT|TEXTAREA/.test(e.target.tagName) ||
    document.getElementById("keys")?.open
  )
    return;
  const act = KEYS[e.key];
  if (act) {
    e.preventDefault();
    act();
  }
});
window.page = {
  S,
  EDITS: () => EDITS,
  DATA,
  CELLS,
  QUESTIONS,
  set,
  edit,
  compute,
  problem,
  moved,
  agreement,
  split,
  farCurves,
  options,
  target,
  whose,
  python,
  now,
  mistakes,
  rowsNow,
  writeAddress,
};
addEventListener("resize", draw);
readAddress();
now();
