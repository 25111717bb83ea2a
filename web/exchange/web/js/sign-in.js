/** Registration and login. */

import { enter } from "./account.js";
import { ApiError, own } from "./api.js";
import { config, go } from "./state.js";
import { html, signal, useEffect } from "./view.js";

const NEEDS_CODE = -2;
const PASSWORD_LENGTH_MIN = 8;

const name = signal("");
const password = signal("");
const code = signal("");
const needsCode = signal(false);
const fault = signal("");
const isBusy = signal(false);

/**
 * @param {"/ui/login" | "/ui/register"} path
 * @param {string} next
 */
async function submit(path, next) {
  if (isBusy.peek()) {
    return;
  }
  isBusy.value = true;
  fault.value = "";
  try {
    const totp = needsCode.peek() ? { totp: code.peek().trim() } : {};
    const answer = await own("POST", path, {
      name: name.peek().trim(),
      password: password.peek(),
      ...totp,
    });
    forget();
    await enter(answer.user);
    go(next);
  } catch (refusal) {
    if (!(refusal instanceof ApiError)) {
      throw refusal;
    }
    needsCode.value ||= refusal.code === NEEDS_CODE;
    fault.value = refusal.words;
  } finally {
    isBusy.value = false;
  }
}

function forget() {
  password.value = "";
  code.value = "";
  needsCode.value = false;
  fault.value = "";
}

export function LoginPage() {
  return html`<${Page}
    title="Log in"
    act="Log in"
    hint=""
    autocomplete="current-password"
    submit=${() => submit("/ui/login", "trade")}
    other=${config.value.registration && html`New here? <a href="#/register">Register</a>`}
  />`;
}

export function RegisterPage() {
  if (!config.value.registration) {
    return html`<main class="page narrow"><div class="card stack"><h1>Registration is closed</h1>
      <p>Accounts are made by whoever runs this exchange. <a href="#/login">Log in</a></p></div></main>`;
  }
  return html`<${Page}
    title="Register"
    act="Register"
    hint=${`At least ${PASSWORD_LENGTH_MIN} characters.`}
    autocomplete="new-password"
    submit=${() => submit("/ui/register", config.value.testFunds ? "wallet" : "trade")}
    other=${html`Already registered? <a href="#/login">Log in</a>`}
  />`;
}

/** @param {{ title: string, act: string, hint: string, autocomplete: string, submit: () => void, other: unknown }} properties */
function Page({ title, act, hint, autocomplete, submit: send, other }) {
  useEffect(() => {
    forget();
    document.getElementById("sign-in-name")?.focus();
  }, []);
  const field = (/** @type {typeof name} */ value) => (/** @type {any} */ event) => {
    value.value = event.target.value;
  };
  return html`<main class="page narrow">
    <form class="card stack" onSubmit=${(/** @type {Event} */ event) => {
      event.preventDefault();
      send();
    }}>
      <h1>${title}</h1>
      <label class="field"><span>Name</span>
        <input id="sign-in-name" required autocomplete="username" autocapitalize="none" spellcheck=${false} maxlength="64" value=${name.value} onInput=${field(name)} />
      </label>
      <label class="field"><span>Password</span>
        <input type="password" required autocomplete=${autocomplete} maxlength="256" value=${password.value} onInput=${field(password)} />
        ${hint !== "" && html`<small class="quiet">${hint}</small>`}
      </label>
      ${
        needsCode.value &&
        html`<label class="field"><span>Code of your authenticator</span>
        <input required inputmode="numeric" autocomplete="one-time-code" maxlength="6" value=${code.value} onInput=${field(code)} />
      </label>`
      }
      ${fault.value !== "" && html`<p class="fault" role="alert">${fault.value}</p>`}
      <button class="accent wide" type="submit" disabled=${isBusy.value}>${isBusy.value ? "…" : act}</button>
      ${other && html`<p class="quiet">${other}</p>`}
    </form>
  </main>`;
}
