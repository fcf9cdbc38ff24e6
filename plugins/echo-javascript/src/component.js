// The component: what the host calls is the logic in echo.js.

import { host } from '../../../guest-sdk/javascript/host.js';
import * as echo from './echo.js';

export function handle(event) {
  echo.handle(event, host);
}
