/** What one owns: balances, test funds where there are any, withdrawals, and the ledger's history. */

import { balances, changes, chosen } from "./account.js";
import { own } from "./api.js";
import { notify } from "./dialogs.js";
import { capital, moment, trimmed } from "./format.js";
import { Fault, into, plain, referring, submitting } from "./forms.js";
import { BalanceTable } from "./own-orders.js";
import { config } from "./state.js";
import { SubAccounts } from "./sub-accounts.js";
import { html, signal, useEffect } from "./view.js";

/**
 * @typedef {{ id: string, asset: string, amount: string, address: string, status: string,
 *   createdAt: number }} Withdrawal
 * @typedef {{ id: string, time: number, kind: string, asset: string, amount: string,
 *   reference?: string | null, tradeId?: number | null, symbol: string | null }} Entry
 */

export function WalletPage() {
  const held = [...balances.value.values()].sort((one, other) =>
    one.asset < other.asset ? -1 : 1,
  );
  const most = config.value.testFunds;
  return html`<main class="page">
    <h1>Wallet</h1>
    <div class="columns-2">
      <section class="card">
        <h2>Balances</h2>
        ${
          held.length === 0
            ? html`<p class="quiet">Nothing yet.</p>`
            : html`<div class="scroll" tabindex="0" role="region" aria-label="Balances">
                <${BalanceTable} held=${held} />
              </div>`
        }
      </section>
      <div class="stack">
        ${most && html`<${TestFunds} most=${most} />`}
        ${held.length > 0 && html`<${Withdraw} held=${held} />`}
      </div>
    </div>
    <${SubAccounts} held=${held} />
    <${Ledger} key=${chosen.value} />
  </main>`;
}

// --- Test funds ----------------------------------------------------------------------------------

const taken = { asset: signal(""), amount: signal(""), fault: signal(""), isBusy: signal(false) };

/** @param {{ most: Record<string, string> }} properties */
function TestFunds({ most }) {
  const { asset, amount, fault, isBusy } = taken;
  const names = Object.keys(most).sort();
  const chosen = most[asset.value] === undefined ? names[0] : asset.value;
  const take = submitting(isBusy, fault, async () => {
    const wanted = plain(amount.value) === "" ? most[chosen] : plain(amount.value);
    const answer = await own("POST", "/ui/funds/test", { asset: chosen, amount: wanted });
    notify(
      "good",
      `${trimmed(answer.amount)} ${answer.asset} for testing`,
      "They are yours, and worth nothing.",
    );
    amount.value = "";
  });
  return html`<section class="card wide-card">
    <h2>Test funds</h2>
    <form class="stack" onSubmit=${take}>
      <p class="quiet">Money for trying things out, as often as you like.</p>
      <div class="in-line">
        <label class="field"
          ><span>Asset</span
          ><select value=${chosen} onChange=${into(asset)}>
            ${names.map((one) => html`<option value=${one}>${one}</option>`)}
          </select></label
        >
        <label class="field"
          ><span>Amount</span
          ><input
            inputmode="decimal"
            size="12"
            placeholder=${trimmed(most[chosen])}
            value=${amount.value}
            onInput=${into(amount)}
        /></label>
        <button class="accent" type="submit" disabled=${isBusy.value}>Take ${chosen}</button>
      </div>
      <${Fault} fault=${fault.value} />
    </form>
  </section>`;
}

// --- Withdrawals ---------------------------------------------------------------------------------

const sent = {
  asset: signal(""),
  amount: signal(""),
  address: signal(""),
  fault: signal(""),
  isBusy: signal(false),
};
/** @type {import("./view.js").Signal<Withdrawal[]>} */
const withdrawals = signal([]);
const withdrawal = referring();

async function loadWithdrawals() {
  withdrawals.value = await own("GET", "/ui/withdrawals?limit=20").catch(() => withdrawals.peek());
}

/** @param {{ held: import("./account.js").Balance[] }} properties */
function Withdraw({ held }) {
  const { asset, amount, address, fault, isBusy } = sent;
  useEffect(() => {
    loadWithdrawals();
  }, [changes.value.money]);
  const chosen = held.some((one) => one.asset === asset.value) ? asset.value : held[0].asset;
  const send = submitting(isBusy, fault, async () => {
    await withdrawal((reference) =>
      own("POST", "/ui/withdrawals", {
        asset: chosen,
        amount: plain(amount.value),
        address: address.value.trim(),
        reference,
      }),
    );
    notify("good", "Withdrawal asked for", `${amount.value} ${chosen}`);
    amount.value = "";
    await loadWithdrawals();
  });
  return html`<section class="card wide-card">
    <h2>Withdraw</h2>
    <form class="stack" onSubmit=${send}>
      <div class="in-line">
        <label class="field"
          ><span>Asset</span
          ><select value=${chosen} onChange=${into(asset)}>
            ${held.map((one) => html`<option value=${one.asset}>${one.asset}</option>`)}
          </select></label
        >
        <label class="field"
          ><span>Amount</span
          ><input
            required
            inputmode="decimal"
            size="12"
            value=${amount.value}
            onInput=${into(amount)}
        /></label>
      </div>
      <label class="field"
        ><span>To the address</span
        ><input required maxlength="200" value=${address.value} onInput=${into(address)}
      /></label>
      <${Fault} fault=${fault.value} />
      <button type="submit" disabled=${isBusy.value}>Withdraw ${chosen}</button>
    </form>
    ${
      withdrawals.value.length > 0 &&
      html`<div class="scroll" tabindex="0" role="region" aria-label="Withdrawals">
        <table>
          <thead>
            <tr><th>Time</th><th class="number">Amount</th><th>To</th><th>Status</th></tr>
          </thead>
          <tbody>
            ${withdrawals.value.map(
              (one) =>
                html`<tr key=${one.id}>
                  <td class="quiet">${moment(one.createdAt)}</td>
                  <td class="number">${trimmed(one.amount)} ${one.asset}</td>
                  <td title=${one.address}>
                    ${one.address.length > 14 ? `${one.address.slice(0, 12)}…` : one.address}
                  </td>
                  <td>${one.status.toLowerCase()}</td>
                </tr>`,
            )}
          </tbody>
        </table>
      </div>`
    }
  </section>`;
}

// --- The ledger ----------------------------------------------------------------------------------

const ROWS = 50;
/** @type {import("./view.js").Signal<{ rows: Entry[], more: boolean } | null>} */
const ledger = signal(null);

async function loadLedger() {
  const mine = chosen.peek();
  const found = await own("GET", `/ui/ledger?limit=${ROWS}`).catch(() => null);
  if (found !== null && mine === chosen.peek()) {
    ledger.value = found;
  }
}

async function loadOlder() {
  const mine = chosen.peek();
  const known = ledger.peek()?.rows ?? [];
  const before = encodeURIComponent(known.at(-1)?.id ?? "");
  const found = await own("GET", `/ui/ledger?limit=${ROWS}&before=${before}`).catch(() => null);
  if (found !== null && mine === chosen.peek()) {
    ledger.value = { rows: [...known, ...found.rows], more: found.more };
  }
}

function Ledger() {
  useEffect(() => {
    // What is known is another account's.
    ledger.value = null;
  }, []);
  useEffect(() => {
    loadLedger();
  }, [changes.value.money]);
  const shown = ledger.value;
  if (shown === null || shown.rows.length === 0) {
    return null;
  }
  return html`<section class="card">
    <h2>History</h2>
    <div class="scroll" tabindex="0" role="region" aria-label="History">
      <table>
        <thead>
          <tr>
            <th>Time</th>
            <th>What</th>
            <th class="number">Amount</th>
            <th>Asset</th>
            <th>Market</th>
          </tr>
        </thead>
        <tbody>
          ${shown.rows.map(
            (one) =>
              html`<tr key=${one.id}>
                <td class="quiet">${moment(one.time)}</td>
                <td title=${one.reference ?? one.tradeId ?? ""}>
                  ${capital(one.kind)}
                </td>
                <td class="number ${one.amount.startsWith("-") ? "down" : "up"}">
                  ${one.amount.startsWith("-") ? "" : "+"}${trimmed(one.amount, 2)}
                </td>
                <td>${one.asset}</td>
                <td class="quiet">${one.symbol ?? ""}</td>
              </tr>`,
          )}
        </tbody>
      </table>
    </div>
    ${shown.more && html`<div class="more"><button onClick=${loadOlder}>Older</button></div>`}
  </section>`;
}
