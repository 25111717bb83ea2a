/** What admins have done, as it is on record. */

import { done, inWords } from "./admin-wishes.js";
import { own } from "./api.js";
import { capital, moment, trimmed } from "./format.js";
import { Fault } from "./forms.js";
import { html, signal, useEffect } from "./view.js";

/**
 * @typedef {{ number: number, time: number, actor: string, act: string, subject: string,
 *   reason: string, before: Told, after: Told }} Act
 * @typedef {Record<string, unknown> | null} Told
 */

const ACTS = 20;

/** @type {import("./view.js").Signal<{ rows: Act[], more: boolean } | null>} */
const acts = signal(null);
const actsFault = signal("");
let actsAsked = 0;

/** @param {Act[]} [known] those that are shown already, for older ones */
async function loadActs(known = []) {
  actsAsked += 1;
  const mine = actsAsked;
  const last = known.at(-1);
  const before = last === undefined ? "" : `&before=${last.number}`;
  try {
    const found = /** @type {Act[]} */ (await own("GET", `/ui/admin/audit?limit=${ACTS}${before}`));
    if (mine === actsAsked) {
      acts.value = { rows: [...known, ...found], more: found.length === ACTS };
      actsFault.value = "";
    }
  } catch (refusal) {
    actsFault.value = inWords(refusal);
  }
}

export function Audit() {
  useEffect(() => {
    loadActs();
  }, [done.value]);
  const shown = acts.value;
  return html`<section class="card" aria-label="Audit"><h2>Audit</h2>
    <${Fault} fault=${actsFault.value} />
    ${shown?.rows.length === 0 && html`<p class="quiet">Nothing yet.</p>`}
    ${
      shown !== null &&
      shown.rows.length > 0 &&
      html`<ol class="acts-done">${shown.rows.map(
        (one) => html`<li key=${one.number} data-act=${one.act}>
          <div>
            <div><b>${capital(one.act.replace(/([a-z])([A-Z])/g, "$1 $2"))}</b> ${one.subject}</div>
            ${one.reason !== "" && html`<div>“${one.reason}”</div>`}
          </div>
          <div>
            <div class="quiet">${moment(one.time)} · ${one.actor}</div>
            <${Difference} one=${one} />
          </div>
        </li>`,
      )}</ol>`
    }
    ${shown?.more && html`<div class="more"><button onClick=${() => loadActs(shown.rows)}>More</button></div>`}
  </section>`;
}

/** @param {{ one: Act }} properties */
function Difference({ one }) {
  const was = flat(one.before);
  const becomes = flat(one.after);
  const names = [...new Set([...was.keys(), ...becomes.keys()])].filter(
    (name) => !(name === "reference" && one.subject.endsWith(becomes.get(name) ?? "")),
  );
  return (
    names.length > 0 &&
    html`<dl class="facts">${names.map(
      (name) => html`<dt>${name}</dt>
        <dd>${was.has(name) && html`<s>${was.get(name)}</s> → `}${becomes.get(name) ?? "nothing"}</dd>`,
    )}</dl>`
  );
}

/** What the act's own line says already, and what is nothing. */
const UNTOLD = ["number", "time", "id", "created", "updated"];

/**
 * @param {Told} told
 * @param {string} [within]
 * @returns {Map<string, string>}
 */
function flat(told, within = "") {
  return new Map(
    Object.entries(told ?? {}).flatMap(([name, value]) => {
      if (typeof value === "object" && value !== null && !Array.isArray(value)) {
        const inner = /** @type {Record<string, unknown>} */ (value);
        return [...flat(inner, `${within}${name} `)];
      }
      const isUntold = UNTOLD.includes(name) || value === null;
      return isUntold ? [] : [[`${within}${name}`, shownValue(value)]];
    }),
  );
}

/** @param {unknown} value */
function shownValue(value) {
  if (Array.isArray(value)) {
    return value.length === 0 ? "none" : value.map(item).join(", ");
  }
  if (typeof value === "string" && /^\d+\.\d+$/.test(value)) {
    return trimmed(value);
  }
  return typeof value === "boolean" ? (value ? "yes" : "no") : `${value}`;
}

/**
 * One of several things, such as "tier 1 maker 0 taker 0.0005".
 * @param {unknown} one
 */
function item(one) {
  return typeof one === "object" && one !== null ? Object.entries(one).flat().join(" ") : `${one}`;
}
