// F. A training run, from its record: what it lost, how fast, and what it wrote.
function sectionTraining() {
  const R = DATA.record;
  if (!R) return nothing;
  const n = R.curves.loss.length,
    u = Math.min(S.at || n, n),
    numbered = k => R.curves[k].map((y, i) => [i + 1, y]);
  const points = {
    "training loss": numbered("loss"),
    "held-out loss": numbered("held_out"),
    "gradient norm": numbered("norm"),
    "learning rate": numbered("rate"),
    "speed": R.looks.map(l => [l.update, l.tokens_per_s]),
  };
  for (const k in points) points[k] = points[k].filter(p => isFinite(p[1] ?? NaN));
  const thin = ps => {
    const every = Math.ceil(ps.length / 400);
    return ps.filter((_, i) => i % every === 0 || i === ps.length - 1);
  };
  const at = k => points[k].findLast(p => p[0] <= u)?.[1],
    look = R.looks.findLast(l => l.update <= u);
  const curves = (title, height, names = [title]) =>
    chart({
      curves: names.map(k => ({ name: say(k), note: "", points: thin(points[k]) })),
      title: say(title),
      x: say("update"),
      reach: [1, n],
      mark: u,
      height,
    });
  const rows = [
    ["training loss", at("training loss")],
    ["held-out loss", at("held-out loss")],
    ["training perplexity", exp(at("training loss"))],
    ["held-out perplexity", exp(at("held-out loss"))],
    ["gradient norm", at("gradient norm")],
    ["learning rate", at("learning rate")],
    ["speed", at("speed"), 0],
    ["seconds", look?.seconds, 1],
  ];
  return html`<section id="F" aria-labelledby="F-title"><h2 id="F-title">${say("F")}</h2>
    <p>${say("F text", { name: R.text.name, characters: R.text.characters, n })}</p>
    ${slider(say("update"), u, [1, n], 1, z => set({ at: Math.max(1, Math.min(n, Math.round(z))) }))}
    <div class="two"><div>${curves("loss", 260, ["training loss", "held-out loss"])}${curves("gradient norm", 200)}
      ${curves("learning rate", 160)}${curves("speed", 160)}</div>
    <div><table><caption>${say("at update", { u })}</caption><tbody>${rows.map(([k, y, digits = 5]) => html`<tr>
      <th scope="row">${say(k)}</th><td>${show(y, digits)}</td></tr>`)}</tbody></table>
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
  return html`<table class="gates"><caption>${say("gates")}</caption><thead><tr>
    <th scope="col">${say("gate")}</th>${names.map(k => html`<th scope="col">${k}</th>`)}</tr></thead>
    <tbody>${lines.map(([k, s]) => html`<tr>
    <th scope="row">${k}</th>${names.map(x => html`<td>${s[x]?.toFixed(2) ?? "–"}</td>`)}</tr>`)}</tbody></table>`;
}
// Of one value at a time, ten units against the characters of a text; from -1 or 0 to 1.
function heatMap(map) {
  const names = Object.keys(map.values),
    name = names.includes(S.value) ? S.value : names[0],
    values = map.values[name] ?? [],
    units = map.units.slice(0, 10),
    chars = [...map.text].slice(0, values.length),
    w = 14;
  if (!chars.length) return nothing;
  const low = min(0, ...values.flat().filter(isFinite)) < 0 ? -1 : 0;
  return html`<h3>${say("heat map", { value: name })}</h3>
    <div role="group" class="pair" aria-label=${say("shown value")}>${names.map(
      k => html`<button aria-pressed=${k === name} @click=${() => set({ value: k })}>${k}</button>`,
    )}</div>
    <div class="scroll" tabindex="0" role="region" aria-label=${say("heat map", { value: name })}>
    <svg class="wide" viewBox=${`0 0 ${60 + chars.length * w} ${units.length * w + 24}`} width=${60 + chars.length * w}
      height=${units.length * w + 24} role="img" aria-label=${say("heat map", { value: name })}>
    ${units.map(
      (unit, i) =>
        svg`<text class="tick" x="54" y=${i * w + 11} text-anchor="end">${say("unit")} ${unit}</text>${chars.map(
          (_, t) => {
            const x = values[t]?.[i];
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
