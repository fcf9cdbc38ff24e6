// The smallest handler: sends every event on, with its sequence and a counter.
//
// This module is the logic and knows no WebAssembly: the component hands it the host, tests hand it a fake one.

import { reject, retry, subjectToken } from '../../../guest-sdk/javascript/seriatim.js';

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
