/** What one owns, and getting test funds where the exchange gives them out. */

import { balances } from "./account.js";
import { ApiError, own } from "./api.js";
import { notify } from "./dialogs.js";
import { trimmed } from "./format.js";
import { BalanceTable } from "./orders-panel.js";
import { config } from "./state.js";
import { html, signal } from "./view.js";

const asset = signal("");
const amount = signal("");
const fault = signal("");
const isBusy = signal(false);

export function WalletPage() {
  const held = [...balances.value.values()].sort((one, other) =>
    one.asset < other.asset ? -1 : 1,
  );
  return html`<main class="page">
    <h1>Wallet</h1>
    <div class="columns-2">
      <section class="card"><h2>Balances</h2>
        ${
          held.length === 0
            ? html`<p class="quiet">Nothing yet.</p>`
            : html`<div class="scroll" tabindex="0" role="region" aria-label="Balances"><${BalanceTable} held=${held} /></div>`
        }
      </section>
      ${config.value.testFunds && html`<${TestFunds} most=${config.value.testFunds} />`}
    </div>
  </main>`;
}

/** @param {{ most: Record<string, string> }} properties */
function TestFunds({ most }) {
  const names = Object.keys(most).sort();
  const chosen = most[asset.value] === undefined ? names[0] : asset.value;
  const take = async (/** @type {Event} */ event) => {
    event.preventDefault();
    isBusy.value = true;
    fault.value = "";
    const wanted =
      amount.value.trim() === "" ? most[chosen] : amount.value.replaceAll(",", "").trim();
    try {
      const answer = await own("POST", "/ui/funds/test", { asset: chosen, amount: wanted });
      notify(
        "good",
        `${trimmed(answer.amount)} ${answer.asset} for testing`,
        "They are yours, and worth nothing.",
      );
      amount.value = "";
    } catch (refusal) {
      if (!(refusal instanceof ApiError)) {
        throw refusal;
      }
      fault.value = refusal.words;
    } finally {
      isBusy.value = false;
    }
  };
  return html`<section class="card"><h2>Test funds</h2>
    <form class="stack" onSubmit=${take}>
      <p class="quiet">Money for trying things out. At most so much at a time, as often as you like.</p>
      <div class="in-line">
        <label class="field"><span>Asset</span><select value=${chosen} onChange=${(
          /** @type {any} */ event,
        ) => {
          asset.value = event.target.value;
        }}>${names.map((one) => html`<option value=${one}>${one}</option>`)}</select></label>
        <label class="field"><span>Amount</span><input inputmode="decimal" placeholder=${trimmed(most[chosen])} value=${amount.value} onInput=${(
          /** @type {any} */ event,
        ) => {
          amount.value = event.target.value;
        }} /></label>
        <button class="accent" type="submit" disabled=${isBusy.value}>Take ${chosen}</button>
      </div>
      ${fault.value !== "" && html`<p class="fault" role="alert">${fault.value}</p>`}
    </form>
  </section>`;
}
