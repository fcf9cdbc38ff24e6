// A handler that remembers what it must not: see ../../README.md.

import { host } from '../../../../guest-sdk/javascript/host.js';

let remembered = new Uint8Array();

export function handle(event) {
  host.emit('out.globals', [], remembered);
  const more = new Uint8Array(remembered.length + event.payload.length);
  more.set(remembered);
  more.set(event.payload, remembered.length);
  remembered = more;
  host.stateDelete('nothing');
  host.log('debug', 'remembered');
}
