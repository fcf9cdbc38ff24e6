// The host of the world `seriatim:handler/handler@0.1.0`: what most handlers use of it. Only the component has this module; tests hand a handler a host of
// their own with the same functions.

import { get as configGet } from 'seriatim:handler/config@0.1.0';
import { write } from 'seriatim:handler/log@0.1.0';
import { emit } from 'seriatim:handler/output@0.1.0';
import { delete as stateDelete, get as stateGet, set as stateSet } from 'seriatim:handler/state@0.1.0';

/** Writes a line to the host's log; `level` is trace, debug, info, warn or error. */
const log = (level, message) => write(level, message, []);

export const host = { configGet, stateGet, stateSet, stateDelete, emit, log };
