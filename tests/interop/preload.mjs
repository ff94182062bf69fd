// Sends the official client's REST calls to the address in OBSYNC_INTEROP_API, and lets no other
// call leave this machine. Node loads it before the client (`node --import`).
const service = 'https://api.obsidian.md';
const double = process.env.OBSYNC_INTEROP_API;
if (!double) throw new Error('OBSYNC_INTEROP_API is not set');

const realFetch = globalThis.fetch;
globalThis.fetch = (input, init) => {
  const url = new URL(input instanceof Request ? input.url : String(input));
  if (url.origin === service) {
    const target = new URL(url.pathname + url.search, double);
    return realFetch(input instanceof Request ? new Request(target, input) : target, init);
  }
  if (url.hostname === '127.0.0.1') return realFetch(input, init);
  return Promise.reject(new TypeError(`obsync interop: no request to ${url.origin} from a test`));
};
