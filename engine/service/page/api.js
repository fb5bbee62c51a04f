// The service's own API, by the cookie of the session, and its server-sent events.

export const session = { caller: null, open: false, release: "" };
const RANKS = { viewer: 0, operator: 1, admin: 2 };

/** Whether who is logged in may do what takes a role. */
export const may = (role) => session.caller !== null && RANKS[session.caller.role] >= RANKS[role];

export class Refused extends Error {
  constructor(status, error) {
    super(error ? `${error.what}: ${error.why}. ${error.remedy}` : `The service answered ${status}.`);
    this.status = status;
    this.said = error;
  }
}

let loggedOut = () => {};
/** What to do when the session has ended. */
export const onLoggedOut = (act) => { loggedOut = act; };

let asking = new AbortController();
/** Ends what is being asked for: who asked does not want it any more, and gets no answer. */
export function abandon() { asking.abort(); asking = new AbortController(); }

/** The picture at an address; null where there is none, undefined where that cannot be known or was abandoned. */
export async function look(address) {
  try {
    const answer = await fetch(address, { signal: asking.signal });
    return answer.status === 200 ? await answer.blob() : null;
  } catch {
    return undefined;
  }
}

/** Calls an address under /api/v1. */
export async function call(method, path, body) {
  const signal = method === "GET" ? asking.signal : undefined;
  let answer;
  try {
    answer = await fetch(`api/v1/${path}`, {
      method,
      signal,
      headers: body === undefined ? {} : { "Content-Type": "application/json" },
      body: body === undefined ? undefined : JSON.stringify(body),
    });
  } catch {
    if (signal?.aborted) return new Promise(() => {});
    throw new Error("The service cannot be reached.");
  }
  if (answer.status === 204) return null;
  const said = await answer.json().catch(() => ({}));
  if (signal?.aborted) return new Promise(() => {});
  if (!answer.ok) {
    if (answer.status === 401 && path !== "session") loggedOut();
    throw new Refused(answer.status, said.error);
  }
  return said;
}

export const get = (path, query) => call("GET", query ? `${path}?${asQuery(query)}` : path);
export const post = (path, body = {}) => call("POST", path, body);

export function asQuery(query) {
  const made = new URLSearchParams();
  for (const [name, value] of Object.entries(query)) {
    if (value !== undefined && value !== null && value !== "") made.append(name, value);
  }
  return made.toString();
}

export const encoded = (id) => encodeURIComponent(id);

/** All pages of a list, up to a limit. */
export async function all(path, query = {}, most = 5000) {
  const items = [];
  let cursor = null;
  do {
    const page = await get(path, { limit: 500, ...query, cursor });
    items.push(...page.items);
    cursor = page.next;
  } while (cursor && items.length < most);
  return items;
}

/**
 * Follows server-sent events while the tab is shown; comes back by itself.
 * @param handlers by event; `state` is told true and false as the connection comes and goes.
 * @returns ends it.
 */
export function watch(path, handlers) {
  let source = null, timer = null, over = false;
  const state = (good) => handlers.state && handlers.state(good);
  function open() {
    if (over || source || document.hidden) return;
    source = new EventSource(`api/v1/${path}`);
    source.onopen = () => state(true);
    source.onerror = () => {
      state(false);
      if (source && source.readyState === EventSource.CLOSED) {
        close();
        timer = setTimeout(open, 3000);
      }
    };
    for (const [name, act] of Object.entries(handlers)) {
      if (name !== "state") source.addEventListener(name, (event) => act(JSON.parse(event.data)));
    }
  }
  function close() {
    clearTimeout(timer);
    if (source) source.close();
    source = null;
  }
  const look = () => { if (document.hidden) close(); else open(); };
  document.addEventListener("visibilitychange", look);
  open();
  return () => {
    over = true;
    close();
    document.removeEventListener("visibilitychange", look);
  };
}
