// A handler that remembers what it must not: see ../../README.md.

import { host } from '../../../../guest-sdk/javascript/host.js';

let remembered = new Uint8Array();

/** Reaches the limit that the event's type names. */
function overdo(kind) {
  const kept = [];
  while (kind === 'spin');
  while (kind === 'grow') kept.push(new Uint8Array(1 << 20).fill(1));
  for (let key = 0; kind === 'fill'; key++) host.stateSet(`k${key}`, new Uint8Array(1000));
  while (kind === 'chatter') host.log('info', 'and on');
}

export function handle(event) {
  overdo(event.kind);
  host.emit('out.globals', [], remembered);
  const more = new Uint8Array(remembered.length + event.payload.length);
  more.set(remembered);
  more.set(event.payload, remembered.length);
  remembered = more;
  host.stateDelete('nothing');
  host.log('debug', 'remembered');
}
