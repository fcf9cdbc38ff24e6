// Makes a component of a handler in JavaScript: `node componentize.js WIT SOURCE RESULT`. esbuild joins its modules into one, componentize-js puts that
// into a JavaScript engine that is a component for the world `handler` in the folder WIT. All features of the engine that reach outside are switched
// off, so the component imports nothing but the host.

import { mkdir, writeFile } from 'node:fs/promises';
import { dirname } from 'node:path';
import { componentize } from '@bytecodealliance/componentize-js';
import { build } from 'esbuild';

const [witPath, source, result] = process.argv.slice(2);
if (result === undefined) {
  console.error('usage: node componentize.js WIT SOURCE RESULT');
  process.exit(2);
}
await mkdir(dirname(result), { recursive: true });
const bundle = result.replace(/\.wasm$/, '.bundle.js');
await build({ entryPoints: [source], outfile: bundle, bundle: true, format: 'esm', external: ['seriatim:*'], logLevel: 'warning' });
const { component } = await componentize({
  sourcePath: bundle,
  witPath,
  worldName: 'handler',
  disableFeatures: ['random', 'stdio', 'clocks', 'http', 'fetch-event'],
});
await writeFile(result, component);
