// The smallest handler: sends every event on, with its sequence and a counter.
//
// This module is the logic and knows no WebAssembly: `component.js` hands it the host, tests hand it a fake one.

/** What a handler throws for an event it could not handle; `tag` is `retry` or `reject`, `val` the text for the operator. */
export const retry = (val) => ({ tag: 'retry', val });
export const reject = (val) => ({ tag: 'reject', val });

/** Handles one event: counts it and sends its payload on. */
export function handle(event, host) {
  const to = host.configGet('to');
  if (to === undefined) throw retry("the handler's config has no `to`");
  const count = storedCount(host.stateGet('count')) + 1n;
  host.stateSet('count', new TextEncoder().encode(String(count)));
  const headers = [
    { name: 'Echo-Sequence', value: String(event.sequence) },
    { name: 'Echo-Count', value: String(count) },
  ];
  host.emit(`${to}.${subjectToken(event.entity)}`, headers, event.payload);
}

/** The counter as it was left; none begins at 0. */
function storedCount(value) {
  if (value === undefined) return 0n;
  const text = new TextDecoder().decode(value);
  if (!/^\d+$/.test(text)) throw reject('state `count` is not the expected JSON: not a whole number');
  return BigInt(text);
}

/** An entity as one token of a subject: every byte outside A-Z a-z 0-9 _ - is written =XX. */
export function subjectToken(entity) {
  const escaped = (byte) => `=${byte.toString(16).toUpperCase().padStart(2, '0')}`;
  const character = (byte) => String.fromCharCode(byte);
  return Array.from(new TextEncoder().encode(entity), (byte) => (/[\w-]/.test(character(byte)) ? character(byte) : escaped(byte))).join('');
}
