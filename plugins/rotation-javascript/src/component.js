// The component: what the host calls is the logic in rotation.js.

import { host } from '../../../guest-sdk/javascript/host.js';
import * as rotation from './rotation.js';

export function handle(event) {
  rotation.handle(event, host);
}
