// F. A training run, from its record: what it lost, how fast, and what it wrote.
function sectionTraining() {
  const R = DATA.record;
  if (!R) return nothing;
  const n = R.curves.loss.length,
    u = Math.min(S.at || n, n),
    of = k => R.curves[k].map((y, i) => [i + 1, y ?? NaN]).filter(p => isFinite(p[1]));
  const thin = ps => {
    const every = Math.ceil(ps.length / 400);
    return ps.filter((_, i) => i % every === 0 || i === ps.length - 1);
  };
  const at = k =>
      of(k)
        .filter(p => p[0] <= u)
        .at(-1)?.[1],
    look = R.looks.filter(l => l.update <= u).at(-1);
  const curves = list =>
    list
      .map(([k, name, f = y => y]) => ({ name, note: "", points: thin(of(k)).map(([x, y]) => [x, f(y)]) }))
      .filter(c => c.points.length);
  const rows = [
    ["training loss", at("loss")],
    ["held-out loss", at("held_out")],
    ["perplexity", at("held_out") === undefined ? undefined : exp(at("held_out"))],
    ["gradient norm", at("norm")],
    ["learning rate", at("rate")],
    ["speed", n / R.seconds],
  ];
  return html`<section id="F" aria-labelledby="F-title"><h2 id="F-title">${say("F")}</h2>
    <p>${say("F text", { name: R.text.name, characters: R.text.characters, n })}</p>
    ${slider(say("update"), u, [1, n], 1, z => set({ at: Math.max(1, Math.min(n, Math.round(z))) }))}
    <div class="two"><div>${chart({
      curves: curves([
        ["loss", say("training loss")],
        ["held_out", say("held-out loss")],
      ]),
      title: say("loss"),
      x: say("update"),
      mark: u,
    })}
      ${chart({ curves: curves([["norm", say("gradient norm")]]), title: say("gradient norm"), x: say("update"), mark: u, height: 200 })}
      ${chart({ curves: curves([["rate", say("learning rate")]]), title: say("learning rate"), x: say("update"), mark: u, height: 160 })}</div>
    <div><table><caption>${say("at update", { u })}</caption><tbody>${rows.map(([k, y]) => html`<tr>
      <th scope="row">${say(k)}</th><td>${show(y, 5)}</td></tr>`)}</tbody></table>
      ${look ? html`<h3>${say("sample", { u: look.update })}</h3>
        <pre tabindex="0" role="region"
          aria-label=${say("sample", { u: look.update })}>${look.sample}</pre>${gateTable(look)}` : nothing}</div></div>
    ${heatMap(R.gate_map)}</section>`;
}
function gateTable(look) {
  const lines = Object.entries(look.gates).flatMap(([layer, gates]) =>
    Object.entries(gates).map(([gate, s]) => [`${gate}, ${say("layer")} ${layer}`, s]),
  );
  const names = [...new Set(lines.flatMap(l => Object.keys(l[1])))];
  if (!lines.length) return nothing;
  return html`<table><caption>${say("gates")}</caption><thead><tr>
    <th scope="col">${say("gate")}</th>${names.map(k => html`<th scope="col">${k}</th>`)}</tr></thead>
    <tbody>${lines.map(([k, s]) => html`<tr>
    <th scope="row">${k}</th>${names.map(x => html`<td>${show(s[x], 3)}</td>`)}</tr>`)}</tbody></table>`;
}
// Ten units against the characters of a text; from -1 or 0 to 1.
function heatMap(map) {
  const units = map.units.slice(0, 10),
    chars = [...map.text].slice(0, map.values.length),
    w = 14;
  if (!chars.length) return nothing;
  const low = min(0, ...map.values.flat().filter(isFinite)) < 0 ? -1 : 0;
  return html`<h3>${say("heat map", { value: map.value })}</h3>
    <div class="scroll" tabindex="0" role="region" aria-label=${say("heat map", { value: map.value })}>
    <svg class="wide" viewBox=${`0 0 ${60 + chars.length * w} ${units.length * w + 24}`} width=${60 + chars.length * w}
      height=${units.length * w + 24} role="img" aria-label=${say("heat map", { value: map.value })}>
    ${units.map(
      (unit, i) =>
        svg`<text class="tick" x="54" y=${i * w + 11} text-anchor="end">${say("unit")} ${unit}</text>${chars.map(
          (_, t) => {
            const x = map.values[t]?.[i];
            return x === null || x === undefined
              ? nothing
              : svg`<rect class="cell" x=${60 + t * w} y=${i * w} width=${w - 1} height=${w - 1}
                fill-opacity=${((x - low) / (1 - low)).toFixed(3)}></rect>`;
          },
        )}`,
    )}
    ${chars.map((c, t) => svg`<text class="tick" x=${60 + t * w + 6} y=${units.length * w + 14}
      text-anchor="middle">${c === "\n" ? "⏎" : c === " " ? "␣" : c}</text>`)}</svg></div><p class="muted">${say("heat map scale", { low })}</p>`;
}
