/** The second factor: setting up an authenticator, and taking it away again. */

import { recall, user } from "./account.js";
import { own } from "./api.js";
import { notify } from "./dialogs.js";
import { Fault, into, submitting } from "./forms.js";
import { html, signal, useEffect } from "./view.js";

const password = signal("");
const code = signal("");
const fault = signal("");
const isBusy = signal(false);
/** What an authenticator must know, while it is being set up. @type {import("./view.js").Signal<{ secret: string, uri: string } | null>} */
const armed = signal(null);

function forget() {
  password.value = "";
  code.value = "";
  fault.value = "";
  armed.value = null;
}

export function Authenticator() {
  useEffect(() => forget, []);
  const hasOne = user.value?.totp ?? false;
  return html`<section class="card" aria-label="Authenticator"><h2>Authenticator</h2>
    ${hasOne ? html`<${Remove} />` : armed.value === null ? html`<${Begin} />` : html`<${Confirm} told=${armed.value} />`}
  </section>`;
}

function Begin() {
  const begin = submitting(isBusy, fault, async () => {
    armed.value = await own("POST", "/ui/totp", { password: password.value });
    password.value = "";
  });
  return html`<form class="stack" onSubmit=${begin}>
    <p class="quiet">With an authenticator, whoever knows your password still cannot log in.</p>
    <${PasswordField} />
    <${Fault} fault=${fault.value} />
    <button type="submit" disabled=${isBusy.value}>Set up an authenticator</button>
  </form>`;
}

/** @param {{ told: { secret: string, uri: string } }} properties */
function Confirm({ told }) {
  const confirm = submitting(isBusy, fault, async () => {
    await own("POST", "/ui/totp/confirm", { code: code.value.trim() });
    forget();
    await recall();
    notify("good", "The authenticator is set up", "Its code is asked for at every login.");
  });
  return html`<form class="stack" onSubmit=${confirm}>
    <p>Give this secret to your authenticator, or <a href=${told.uri}>open it there</a>. It is shown this once.</p>
    <label class="field"><span>Secret</span><code class="secret" id="totp-secret">${told.secret.replace(/(.{4})(?=.)/g, "$1 ")}</code></label>
    <${CodeField} title="The code that it shows" />
    <${Fault} fault=${fault.value} />
    <div class="in-line">
      <button type="button" onClick=${forget}>Back</button>
      <button class="accent" type="submit" disabled=${isBusy.value}>Confirm</button>
    </div>
  </form>`;
}

function Remove() {
  const remove = submitting(isBusy, fault, async () => {
    await own("DELETE", "/ui/totp", { password: password.value, code: code.value.trim() });
    forget();
    await recall();
    notify("plain", "The authenticator is gone", "The password alone lets you in.");
  });
  return html`<form class="stack" onSubmit=${remove}>
    <p>● Its code is asked for at every login.</p>
    <${PasswordField} />
    <${CodeField} title="Code" />
    <${Fault} fault=${fault.value} />
    <button type="submit" disabled=${isBusy.value}>Remove the authenticator</button>
  </form>`;
}

function PasswordField() {
  return html`<label class="field"><span>Password</span><input type="password" required autocomplete="current-password" maxlength="256" value=${password.value} onInput=${into(password)} /></label>`;
}

/** @param {{ title: string }} properties */
function CodeField({ title }) {
  return html`<label class="field"><span>${title}</span><input required inputmode="numeric" autocomplete="one-time-code" pattern=" *[0-9]{6} *" maxlength="8" value=${code.value} onInput=${into(code)} /></label>`;
}
