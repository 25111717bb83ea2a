/** For admins: how the exchange is, who is on it, what waits for them, and what they have done. */

import { user } from "./account.js";
import { Accounts } from "./admin-accounts.js";
import { Audit } from "./admin-audit.js";
import { Asked, ask, reading, wish } from "./admin-wishes.js";
import { own } from "./api.js";
import { notify } from "./dialogs.js";
import { capital, clock, moment, trimmed, withCommas } from "./format.js";
import { Fault } from "./forms.js";
import { html, useEffect } from "./view.js";

/**
 * @typedef {{ name: string, sentence: string, time: number }} Alarm
 * @typedef {{ ready: boolean, sentence: string, accounts: number, ack: string | null,
 *   positions: { journal: number | null, engine: number | null, database: number | null },
 *   lag: { engine: number | null, database: number | null },
 *   markets: { symbol: string, mode: string }[], alarms: Alarm[] | null }} Health
 * @typedef {{ id: string, account: string, asset: string, amount: string, address: string,
 *   status: string, approvals: string[], createdAt: number }} Withdrawal
 */

const LOOK_MS = 4_000;
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
    look();
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
