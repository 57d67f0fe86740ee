// Requests to the gateway, with its token where it asks for one; and elements without HTML texts.

const TOKEN = "toolreplay token";

export async function ask(path, options = {}) {
  const token = sessionStorage.getItem(TOKEN);
  const headers = { ...options.headers, ...(token && { Authorization: `Bearer ${token}` }) };
  const response = await fetch(path, { ...options, headers });
  if (response.status === 401) {
    sessionStorage.setItem(TOKEN, await askForToken());
    return ask(path, options);
  }
  return response;
}

export async function json(path, options) {
  const response = await ask(path, options);
  const content = await response.json();
  if (!response.ok) {
    throw new Error(typeof content.detail === "string" ? content.detail : JSON.stringify(content.detail));
  }
  return content;
}

let asking = null;

function askForToken() {
  asking ??= new Promise((done) => {
    const dialog = document.getElementById("ask");
    dialog.addEventListener("close", () => {
      asking = null;
      done(document.getElementById("token").value);
    }, { once: true });
    dialog.showModal();
  });
  return asking;
}

export function element(name, attributes = {}, ...children) {
  const made = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) {
    if (key.startsWith("on")) made.addEventListener(key.slice(2), value);
    else if (value !== false && value != null) made.setAttribute(key, value === true ? "" : value);
  }
  made.append(...children.filter((child) => child != null && child !== false));
  return made;
}

export const mark = (kind, text = kind) => element("span", { class: `mark ${kind}` }, text);

export const pretty = (value) => (typeof value === "string" ? value : JSON.stringify(value, null, 2));

export const brief = (value) => (typeof value === "string" ? value : JSON.stringify(value));
