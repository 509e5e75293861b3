// Small helpers for the page.
export const at = (id) => document.getElementById(id);

export function put(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

export function svg(name, attributes = {}, parent = null) {
  const element = document.createElementNS("http://www.w3.org/2000/svg", name);
  for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
  parent?.append(element);
  return element;
}

export function make(name, attributes = {}, ...children) {
  const element = document.createElement(name);
  Object.assign(element, attributes);
  element.append(...children);
  return element;
}

export const fixed = (value, digits, unit = "") => (value === null || value === undefined ? "–" : `${value.toFixed(digits)}${unit}`);

export function seconds(age) {
  if (age < 60) return `${age.toFixed(1)} s`;
  return age < 3600 ? `${Math.floor(age / 60)} min ${Math.floor(age % 60)} s` : `${Math.floor(age / 3600)} h`;
}

// Ask the server for something; { done, words } whatever happens.
export async function order(url, wait) {
  try {
    const reply = await fetch(url, { method: "POST", credentials: "include", signal: AbortSignal.timeout(wait) });
    const type = reply.headers.get("content-type") ?? "";
    return type.includes("json") ? await reply.json() : { done: false, words: (await reply.text()).trim() };
  } catch {
    return { done: false, words: "the console's server did not answer" };
  }
}
