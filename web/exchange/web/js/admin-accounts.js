/** The accounts, for admins: found by name, credited, stopped and let go, and their fees. */

import { ask, inWords } from "./admin-wishes.js";
import { ApiError, own } from "./api.js";
import { notify } from "./dialogs.js";
import { capital, trimmed } from "./format.js";
import { Fault } from "./forms.js";
import { markets } from "./state.js";
import { html, signal, useEffect } from "./view.js";

/**
 * @typedef {{ accountId: number, name: string, role: string, state: string, tier: number,
 *   owner: number | null }} Account
 */

const SEARCH_MS = 200;
const ACCOUNTS = 25;

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

export function Accounts() {
  useEffect(() => {
    search.value = "";
  }, []);
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
      <button aria-label=${`Change the tier of ${one.name}`} onClick=${() => changeTier(one)}>Tier</button>
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
  const assets = assetNames();
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

/** @param {Account} one */
function changeTier(one) {
  ask({
    title: `Fee tier of ${one.name}`,
    text: "Its trades pay the rates that each market has for this tier, or those of everybody where it has none.",
    button: "Change the tier",
    fields: [{ name: "tier", title: "Tier, a whole number from 0 on", value: `${one.tier}` }],
    run: async ({ tier, reason }) => {
      if (!/^\d{1,4}$/.test(tier)) {
        throw new ApiError(400, 0, "A tier is a whole number from 0 on.");
      }
      const path = `/ui/admin/accounts/${encodeURIComponent(one.name)}`;
      await own("POST", path, { tier: Number(tier), reason });
      notify("good", `${one.name} has tier ${tier}`);
      await loadAccounts();
    },
  });
}

/** The names of all assets that are traded. */
function assetNames() {
  const names = [...markets.peek().values()].flatMap((one) => [one.base, one.quote]);
  return [...new Set(names)].sort();
}
