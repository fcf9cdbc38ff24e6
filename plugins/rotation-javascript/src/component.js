// Joins the logic to the world `seriatim:handler/handler`: the imports are the host, the export is what the host calls.

import { get as configGet } from 'seriatim:handler/config@0.1.0';
import { emit } from 'seriatim:handler/output@0.1.0';
import { get as stateGet, set as stateSet } from 'seriatim:handler/state@0.1.0';
import * as rotation from './rotation.js';

export function handle(event) {
  rotation.handle(event, { configGet, stateGet, stateSet, emit });
}
