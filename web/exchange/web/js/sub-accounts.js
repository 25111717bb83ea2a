/** The accounts of one owner: another one, the one that is used, and money from one to another. */

import { chosen, enter, recall, user } from "./account.js";
import { own } from "./api.js";
import { notify } from "./dialogs.js";
import { trimmed } from "./format.js";
import { Fault, into, plain, referring, submitting } from "./forms.js";
import { html, signal } from "./view.js";

const added = { name: signal(""), fault: signal(""), isBusy: signal(false) };
const moved = {
  to: signal(""),
  asset: signal(""),
  amount: signal(""),
  fault: signal(""),
  isBusy: signal(false),
};
const transfer = referring();

/** @param {{ held: import("./account.js").Balance[] }} properties */
export function SubAccounts({ held }) {
  const who = user.value;
  if (!who) {
    return null;
  }
  return html`<section class="card" aria-label="Accounts">
    <h2>Accounts</h2>
    <div class="columns-2">
      <div class="stack">
        ${
          who.accounts.length > 1 &&
          html`<div class="scroll wide" tabindex="0" role="region" aria-label="Your accounts"><table>
          <tbody>${who.accounts.map((one) => html`<${Row} key=${one.accountId} who=${who} one=${one} />`)}</tbody>
        </table></div>`
        }
        <${Add} />
      </div>
      ${who.accounts.length > 1 && held.length > 0 && html`<${Move} who=${who} held=${held} />`}
    </div>
  </section>`;
}

/** @param {{ who: import("./account.js").User, one: import("./account.js").OwnAccount }} properties */
function Row({ who, one }) {
  const isUsed = one.accountId === chosen.value;
  return html`<tr data-own=${one.name}>
    <td><b>${one.name}</b>${one.accountId === who.accountId && html`<span class="badge">main</span>`}</td>
    <td class="quiet">${one.accountId}</td>
    <td class="acts">${
      isUsed
        ? html`<span class="quiet">used now</span>`
        : html`<button aria-label=${`Use ${one.name}`} onClick=${() => enter(who, one.accountId)}>Use</button>`
    }</td>
  </tr>`;
}

function Add() {
  const { name, fault, isBusy } = added;
  const add = submitting(isBusy, fault, async () => {
    const made = await own("POST", "/ui/accounts", { name: name.value.trim() });
    name.value = "";
    await recall();
    notify("good", `${made.name} is there`, "It has its own balances, orders and keys.");
  });
  return html`<form class="stack wide" onSubmit=${add}>
    <p class="quiet">A sub-account keeps money and orders apart, for a program or a strategy.</p>
    <div class="in-line">
      <label class="field"><span>Name of a new one</span><input required maxlength="64" autocomplete="off" value=${name.value} onInput=${into(name)} /></label>
      <button type="submit" disabled=${isBusy.value}>Add a sub-account</button>
    </div>
    <${Fault} fault=${fault.value} />
  </form>`;
}

/** @param {{ who: import("./account.js").User, held: import("./account.js").Balance[] }} properties */
function Move({ who, held }) {
  const { to, asset, amount, fault, isBusy } = moved;
  const others = who.accounts.filter((one) => one.accountId !== chosen.value);
  const target = others.find((one) => `${one.accountId}` === to.value) ?? others[0];
  const what = held.find((one) => one.asset === asset.value) ?? held[0];
  const move = submitting(isBusy, fault, async () => {
    await transfer((reference) =>
      own("POST", "/ui/transfers", {
        from: chosen.value,
        to: target.accountId,
        asset: what.asset,
        amount: plain(amount.value),
        reference,
      }),
    );
    notify("good", `${trimmed(plain(amount.value))} ${what.asset} moved to ${target.name}`);
    amount.value = "";
  });
  return html`<form class="stack" onSubmit=${move} aria-label="Transfer">
    <div class="in-line">
      <label class="field"><span>Move to</span><select value=${`${target.accountId}`} onChange=${into(to)}>
        ${others.map((one) => html`<option value=${`${one.accountId}`}>${one.name}</option>`)}
      </select></label>
      <label class="field"><span>Asset</span><select value=${what.asset} onChange=${into(asset)}>
        ${held.map((one) => html`<option value=${one.asset}>${one.asset}</option>`)}
      </select></label>
      <label class="field"><span>Amount</span><input required inputmode="decimal" size="12" placeholder=${trimmed(what.free)} value=${amount.value} onInput=${into(amount)} /></label>
    </div>
    <${Fault} fault=${fault.value} />
    <button type="submit" disabled=${isBusy.value}>Move ${what.asset}</button>
  </form>`;
}
