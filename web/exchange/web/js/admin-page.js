/** For admins: how the exchange is, who is on it, what waits for them, and what they have done. */

import { enter, user } from "./account.js";
import { ApiError, own } from "./api.js";
import { toText } from "./decimal.js";
import { Modal, notify } from "./dialogs.js";
import { clock, moment, trimmed, withCommas } from "./format.js";
import { markets } from "./state.js";
import { html, signal, useEffect } from "./view.js";

/**
 * @typedef {{ name: string, sentence: string, time: number }} Alarm
 * @typedef {{ ready: boolean, sentence: string, accounts: number, ack: string | null,
 *   positions: { journal: number | null, engine: number | null, database: number | null },
 *   lag: { engine: number | null, database: number | null },
 *   markets: { symbol: string, mode: string }[], alarms: Alarm[] | null }} Health
 * @typedef {{ accountId: number, name: string, role: string, state: string, tier: number,
 *   owner: number | null }} Account
 * @typedef {{ id: string, account: string, asset: string, amount: string, address: string,
 *   status: string, approvals: string[], createdAt: number }} Withdrawal
 * @typedef {{ number: number, time: number, actor: string, act: string, subject: string,
 *   reason: string, before: Told, after: Told }} Act
 * @typedef {Record<string, unknown> | null} Told
 */

const LOOK_MS = 4_000;
const SEARCH_MS = 200;
const ACCOUNTS = 25;
const ACTS = 20;
const WAITING_MOST = 100;

export function AdminPage() {
  useEffect(() => {
    /** @type {ReturnType<typeof setTimeout> | undefined} */
    let timer;
    let isShown = true;
    const look = async () => {
      if (!document.hidden) {
        await Promise.all([health.load(), waiting.load()]);
      }
      if (isShown) {
        timer = setTimeout(look, LOOK_MS);
      }
    };
    search.value = "";
    look();
    loadActs();
    return () => {
      isShown = false;
      clearTimeout(timer);
      wish.value = null;
    };
  }, []);
  return html`<main class="page admin">
    <h1>Administration</h1>
    <div class="columns-2"><${Exchange} /><${Markets} /></div>
    <${Waiting} />
    <${Accounts} />
    <${Audit} />
    ${wish.value !== null && html`<${Asked} key=${wish.value} wish=${wish.value} />`}
  </main>`;
}

// --- What is read --------------------------------------------------------------------------------

/**
 * Something that is read again and again. Only the newest request is shown; a failed one leaves
 * what is known, and says why that is old.
 * @template T
 * @param {() => Promise<T>} read
 */
function reading(read) {
  const value = /** @type {import("./view.js").Signal<T | null>} */ (signal(null));
  const fault = signal("");
  let newest = 0;
  const load = async () => {
    newest += 1;
    const mine = newest;
    try {
      const found = await read();
      if (mine === newest) {
        value.value = found;
        fault.value = "";
      }
    } catch (refusal) {
      const words = inWords(refusal);
      if (mine === newest) {
        fault.value = words;
      }
    }
  };
  return { value, fault, load };
}

/**
 * Why something was refused. Whose session has ended has to sign in again.
 * @param {unknown} refusal
 */
function inWords(refusal) {
  if (!(refusal instanceof ApiError)) {
    throw refusal;
  }
  if (refusal.status === 401) {
    enter(null);
  }
  return refusal.words;
}

/** @param {{ fault: string }} properties */
function Fault({ fault }) {
  return fault !== "" && html`<p class="fault" role="alert">${fault}</p>`;
}

// --- What is asked before something is done ------------------------------------------------------

/**
 * @typedef {{ name: string, title: string, value: string, choices?: [string, string][] }} Field
 * @typedef {{ title: string, text: string, button: string, isGrave: boolean, fields: Field[],
 *   run: (values: Record<string, string>) => Promise<void> }} Wish
 */

/** @type {import("./view.js").Signal<Wish | null>} */
const wish = signal(null);

/** @param {Partial<Wish> & Pick<Wish, "title" | "button" | "run">} asked */
function ask(asked) {
  wish.value = { text: "", isGrave: false, fields: [], ...asked };
}

/** @param {{ wish: Wish }} properties */
function Asked({ wish: asked }) {
  const close = () => {
    if (wish.peek() === asked) {
      wish.value = null;
    }
  };
  return html`<${Modal} label=${asked.title} close=${close}><${Reasons} asked=${asked} close=${close} /><//>`;
}

const fault = signal("");
const isBusy = signal(false);

/** @param {{ asked: Wish, close: () => void }} properties */
function Reasons({ asked, close }) {
  useEffect(() => {
    fault.value = "";
  }, []);
  const send = async (/** @type {any} */ event) => {
    event.preventDefault();
    if (isBusy.peek()) {
      return;
    }
    isBusy.value = true;
    fault.value = "";
    try {
      const values = Object.fromEntries(new FormData(event.target));
      await asked.run(
        Object.fromEntries(Object.entries(values).map(([name, text]) => [name, `${text}`.trim()])),
      );
      close();
    } catch (refusal) {
      fault.value = inWords(refusal);
    } finally {
      isBusy.value = false;
      loadActs();
    }
  };
  return html`<form class="stack" onSubmit=${send}>
    <h2>${asked.title}</h2>
    ${asked.text !== "" && html`<p>${asked.text}</p>`}
    ${asked.fields.map((field) => html`<${Entry} key=${field.name} field=${field} />`)}
    <${Entry} field=${{ name: "reason", title: "Reason, for the record", value: "" }} />
    <${Fault} fault=${fault.value} />
    <footer class="wide">
      <button type="button" onClick=${close}>Back</button>
      <button class=${asked.isGrave ? "sell" : "accent"} type="submit" disabled=${isBusy.value}>${asked.button}</button>
    </footer>
  </form>`;
}

/** @param {{ field: Field }} properties */
function Entry({ field: { name, title, value, choices } }) {
  return html`<label class="field"><span>${title}</span>${
    choices === undefined
      ? html`<input name=${name} required maxlength=${name === "reason" ? 500 : 40} autocomplete="off"
          inputmode=${name === "reason" ? "text" : "decimal"} defaultValue=${value} />`
      : html`<select name=${name}>${choices.map(
          ([key, words]) => html`<option value=${key} selected=${key === value}>${words}</option>`,
        )}</select>`
  }</label>`;
}

// --- The exchange and its markets ----------------------------------------------------------------

const MODES = /** @type {[string, string][]} */ ([
  ["RUNNING", "Running"],
  ["CANCEL_ONLY", "Cancel only"],
  ["HALTED", "Halted"],
]);
const health = reading(async () => ({
  .../** @type {Health} */ (await own("GET", "/ui/admin/health")),
  at: Date.now(),
}));

/** @param {string} mode */
function modeWords(mode) {
  return MODES.find(([name]) => name === mode)?.[1] ?? capital(mode);
}

/** @param {string} text */
function capital(text) {
  return text.charAt(0).toUpperCase() + text.slice(1).toLowerCase().replaceAll("_", " ");
}

function Exchange() {
  const seen = health.value.value;
  return html`<section class="card stack" aria-label="Exchange"><h2>Exchange</h2>
    <${Fault} fault=${health.fault.value} />
    ${
      seen !== null &&
      html`<p class="standing ${seen.ready ? "up" : "down"}" data-ready=${seen.ready}>
        <span aria-hidden="true">${seen.ready ? "●" : "▲"}</span> <b>${seen.ready ? "Ready" : "Not ready"}</b>: ${seen.sentence}
      </p>
      <dl class="facts">
        <dt>Journal</dt><dd>${position(seen.positions.journal)}</dd>
        <dt>Engine</dt><dd>${position(seen.positions.engine)}${behind(seen.lag.engine)}</dd>
        <dt>Database</dt><dd>${position(seen.positions.database)}${behind(seen.lag.database)}</dd>
        <dt>Accounts</dt><dd>${withCommas(`${seen.accounts}`)}</dd>
        <dt>Looked at</dt><dd>${clock(seen.at)}</dd>
      </dl>
      <h3>Alarms</h3><${Alarms} alarms=${seen.alarms} />`
    }
  </section>`;
}

/** @param {number | null} number */
function position(number) {
  return number === null ? "not known" : withCommas(`${number}`);
}

/** @param {number | null} count */
function behind(count) {
  return count ? html` <span class="quiet">${withCommas(`${count}`)} behind</span>` : "";
}

/** @param {{ alarms: Alarm[] | null }} properties */
function Alarms({ alarms }) {
  if (alarms === null) {
    return html`<p class="quiet">They cannot be read at the moment.</p>`;
  }
  return alarms.length === 0
    ? html`<p class="quiet">None.</p>`
    : html`<ul class="alarms">${alarms.map(
        (one) => html`<li key=${one.name}>
          <b class="down">${one.name}</b> ${one.sentence} <span class="quiet">${moment(one.time / 1_000)}</span>
        </li>`,
      )}</ul>`;
}

function Markets() {
  const known = health.value.value?.markets ?? [];
  const modes = [...new Set(known.map((one) => one.mode))];
  const all = modes.length === 1 ? modes[0] : "";
  return html`<section class="card" aria-label="Mode"><h2>Mode</h2>
    <div class="scroll" tabindex="0" role="region" aria-label="Modes of the markets"><table>
      <thead><tr><th>Market</th><th>Mode</th><td></td></tr></thead>
      <tbody>
        ${
          known.length > 0 &&
          html`<tr data-market="all"><td><b>All markets</b></td>
          <td>${all === "" ? html`<span class="quiet">not the same</span>` : html`<${ModeName} mode=${all} />`}</td>
          <td class="acts"><button aria-label="Change the mode of all markets" onClick=${() => changeMode("", all)}>Change</button></td></tr>`
        }
        ${known.map(
          ({ symbol, mode }) => html`<tr key=${symbol} data-market=${symbol}>
          <td>${symbol}</td>
          <td><${ModeName} mode=${mode} /></td>
          <td class="acts"><button aria-label=${`Change the mode of ${symbol}`} onClick=${() => changeMode(symbol, mode)}>Change</button></td>
        </tr>`,
        )}
      </tbody>
    </table></div>
  </section>`;
}

/** @param {{ mode: string }} properties */
function ModeName({ mode }) {
  const isRunning = mode === "RUNNING";
  return html`<span class=${isRunning ? "up" : "down"}><span aria-hidden="true">${isRunning ? "●" : "▲"}</span> ${modeWords(mode)}</span>`;
}

/**
 * @param {string} symbol "" for all markets
 * @param {string} mode as it is, "" if they differ
 */
function changeMode(symbol, mode) {
  const title = symbol === "" ? "All markets" : symbol;
  const path =
    symbol === ""
      ? "/ui/admin/exchange/mode"
      : `/ui/admin/markets/${encodeURIComponent(symbol)}/mode`;
  ask({
    title: `${title}: mode`,
    text: "Cancel only: open orders can be cancelled, and nothing else. Halted: nothing is taken.",
    button: "Change the mode",
    isGrave: true,
    fields: [
      {
        name: "mode",
        title: "Mode",
        value: mode === "RUNNING" ? "HALTED" : "RUNNING",
        choices: MODES.filter(([one]) => one !== mode),
      },
    ],
    run: async (values) => {
      await own("POST", path, { mode: values.mode, reason: values.reason });
      notify("good", `${title}: ${modeWords(values.mode).toLowerCase()}`);
      await health.load();
    },
  });
}

// --- Withdrawals that wait -----------------------------------------------------------------------

const waiting = reading(async () => {
  const found = await Promise.all(
    ["PENDING", "FROZEN", "APPROVED"].map((status) =>
      own("GET", `/ui/admin/withdrawals?status=${status}&limit=${WAITING_MOST}`),
    ),
  );
  return /** @type {Withdrawal[]} */ (found.flat());
});

const STATUS = /** @type {Record<string, string>} */ ({
  PENDING: "waits",
  APPROVED: "approved, to be paid",
  FROZEN: "frozen",
});

function Waiting() {
  const found = waiting.value.value;
  return html`<section class="card" aria-label="Withdrawals"><h2>Withdrawals waiting</h2>
    <${Fault} fault=${waiting.fault.value} />
    ${found?.length === 0 && html`<p class="quiet">None.</p>`}
    ${
      found !== null &&
      found.length > 0 &&
      html`<div class="scroll" tabindex="0" role="region" aria-label="Withdrawals waiting"><table>
      <thead><tr><th>Amount</th><th>Account</th><th class="wide-cell">To</th><th class="wide-cell">Asked</th><th>Status</th><td></td></tr></thead>
      <tbody>${found.map((one) => html`<${WaitingRow} key=${one.id} one=${one} />`)}</tbody>
    </table></div>`
    }
    ${
      found !== null &&
      found.length >= WAITING_MOST &&
      html`<p class="quiet">At most the newest ${WAITING_MOST} of each status are shown.</p>`
    }
  </section>`;
}

/** @param {{ one: Withdrawal }} properties */
function WaitingRow({ one }) {
  const isMine = one.approvals.includes(user.value?.name ?? "");
  const what = `${trimmed(one.amount)} ${one.asset} of ${one.account}`;
  const by = one.approvals.length === 0 ? "" : `, approved by ${one.approvals.join(", ")}`;
  return html`<tr data-withdrawal=${one.id}>
    <td><b>${trimmed(one.amount)} ${one.asset}</b></td>
    <td class="short" title=${one.account}>${one.account}</td>
    <td class="short wide-cell" title=${one.address}>${one.address}</td>
    <td class="wide-cell quiet">${moment(one.createdAt)}</td>
    <td>${STATUS[one.status] ?? one.status}${one.status === "APPROVED" ? "" : by}</td>
    <td class="acts">${
      one.status === "APPROVED"
        ? html`<button aria-label=${`Paid: ${what}`} onClick=${() => decide(one, "finish", "Paid")}>Paid</button>`
        : html`${
            !isMine &&
            html`<button aria-label=${`Approve ${what}`} onClick=${() => decide(one, "approve", "Approve")}>Approve</button>`
          }<button aria-label=${`Reject ${what}`} onClick=${() => decide(one, "reject", "Reject")}>Reject</button>`
    }</td>
  </tr>`;
}

/**
 * @param {Withdrawal} one
 * @param {"approve" | "reject" | "finish"} decision
 * @param {string} word
 */
function decide(one, decision, word) {
  const what = `${trimmed(one.amount)} ${one.asset}`;
  ask({
    title: `${word}: ${what}`,
    text: `For ${one.account}, to ${one.address}.${decision === "finish" ? " It has been paid out." : ""}`,
    button: word,
    isGrave: decision === "reject",
    run: async ({ reason }) => {
      const path = `/ui/admin/withdrawals/${encodeURIComponent(one.id)}/${decision}`;
      const { status } = await own("POST", path, { reason });
      if (decision === "approve" && status !== "APPROVED") {
        notify("plain", "Approved by you", "Somebody else has to approve it too.");
      } else {
        notify("good", `${what}: ${status.toLowerCase()}`);
      }
      await waiting.load();
    },
  });
}

// --- Accounts ------------------------------------------------------------------------------------

const search = signal("");
/** @type {import("./view.js").Signal<{ rows: Account[], more: boolean } | null>} */
const accounts = signal(null);
const accountsFault = signal("");
let accountsAsked = 0;

/** @param {Account[]} [known] those that are shown already, for more of them */
async function loadAccounts(known = []) {
  accountsAsked += 1;
  const mine = accountsAsked;
  const query = new URLSearchParams({ search: search.peek().trim(), limit: `${ACCOUNTS}` });
  const last = known.at(-1);
  if (last !== undefined) {
    query.set("after", `${last.accountId}`);
  }
  try {
    const found = /** @type {Account[]} */ (await own("GET", `/ui/admin/accounts?${query}`));
    if (mine === accountsAsked) {
      accounts.value = { rows: [...known, ...found], more: found.length === ACCOUNTS };
      accountsFault.value = "";
    }
  } catch (refusal) {
    accountsFault.value = inWords(refusal);
  }
}

function Accounts() {
  useEffect(() => {
    const timer = setTimeout(loadAccounts, SEARCH_MS);
    return () => clearTimeout(timer);
  }, [search.value]);
  const shown = accounts.value;
  return html`<section class="card" aria-label="Accounts"><h2>Accounts</h2>
    <div class="stack">
      <label class="field"><span>Search by name</span><input type="search" autocomplete="off" value=${search.value} onInput=${(
        /** @type {any} */ event,
      ) => {
        search.value = event.target.value;
      }} /></label>
      <${Fault} fault=${accountsFault.value} />
      ${shown?.rows.length === 0 && html`<p class="quiet">Nobody of this name.</p>`}
    </div>
    ${
      shown !== null &&
      shown.rows.length > 0 &&
      html`<div class="scroll" tabindex="0" role="region" aria-label="Accounts found"><table>
      <thead><tr><th>Name</th><th class="wide-cell">Number</th><th>State</th><th>Tier</th><td></td></tr></thead>
      <tbody>${shown.rows.map((one) => html`<${AccountRow} key=${one.accountId} one=${one} />`)}</tbody>
    </table></div>`
    }
    ${shown?.more && html`<div class="more"><button onClick=${() => loadAccounts(shown.rows)}>More accounts</button></div>`}
  </section>`;
}

/** @param {{ one: Account }} properties */
function AccountRow({ one }) {
  const isStopped = one.state === "STOPPED";
  const switching = isStopped ? "Resume" : "Stop";
  return html`<tr data-account=${one.name}>
    <td class="short" title=${one.name}><b>${one.name}</b>${one.role === "admin" && html`<span class="badge">admin</span>`}</td>
    <td class="wide-cell quiet">${one.accountId}</td>
    <td class=${isStopped ? "down" : ""}>${isStopped ? "▲ Stopped" : capital(one.state)}</td>
    <td>${one.tier}</td>
    <td class="acts">
      <button aria-label=${`Credit ${one.name}`} onClick=${() => credit(one)}>Credit</button>
      <button aria-label=${`${switching} ${one.name}`} onClick=${() => stop(one, !isStopped)}>${switching}</button>
    </td>
  </tr>`;
}

/**
 * @param {Account} one
 * @param {boolean} isStop
 */
function stop(one, isStop) {
  ask({
    title: isStop ? `Stop ${one.name}?` : `Let ${one.name} trade again?`,
    text: isStop
      ? "All open orders of this account are cancelled at once, and it can place no new ones."
      : "This account can place orders again. Those that were cancelled stay so.",
    button: isStop ? "Stop trading" : "Resume trading",
    isGrave: isStop,
    run: async ({ reason }) => {
      const path = `/ui/admin/accounts/${encodeURIComponent(one.name)}`;
      await own("POST", path, { tradingDisabled: isStop, reason });
      notify("good", `${one.name} ${isStop ? "is stopped" : "may trade again"}`);
      await loadAccounts();
    },
  });
}

/** @param {Account} one */
function credit(one) {
  // One reference for what is asked here: sent again after a lost answer, it is the same credit.
  const reference = crypto.randomUUID();
  const assets = [...decimals().keys()].sort();
  ask({
    title: `Credit ${one.name}`,
    button: "Credit",
    fields: [
      {
        name: "asset",
        title: "Asset",
        value: assets[0] ?? "",
        choices: assets.map((asset) => [asset, asset]),
      },
      { name: "amount", title: "Amount, with a point for decimals", value: "" },
    ],
    run: async ({ asset, amount, reason }) => {
      const body = { name: one.name, asset, amount, reason, reference };
      const answer = await own("POST", "/ui/admin/credits", body);
      notify("good", `${trimmed(answer.amount)} ${asset} for ${one.name}`);
    },
  });
}

/** How many decimals the assets have that are traded. */
function decimals() {
  return new Map(
    [...markets.peek().values()].flatMap((one) => [
      [one.base, one.baseDecimals],
      [one.quote, one.quoteDecimals],
    ]),
  );
}

// --- The record ----------------------------------------------------------------------------------

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

function Audit() {
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
      return isUntold ? [] : [[`${within}${name}`, shownValue(name, value, told)]];
    }),
  );
}

/**
 * @param {string} name
 * @param {unknown} value
 * @param {Told} told
 */
function shownValue(name, value, told) {
  if (name === "amount" && typeof value === "number") {
    // The record counts smallest units as a JSON number, which a browser reads exactly up to 2^53.
    const about = Number.isSafeInteger(value) ? "" : "about ";
    const places = decimals().get(`${told?.asset}`);
    return places === undefined
      ? `${about}${value} of the smallest unit`
      : `${about}${trimmed(toText(BigInt(value), places))}`;
  }
  if (Array.isArray(value)) {
    return value.length === 0 ? "none" : value.map(String).join(", ");
  }
  return typeof value === "boolean" ? (value ? "yes" : "no") : `${value}`;
}
