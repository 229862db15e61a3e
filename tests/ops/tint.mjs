// Compiles WGSL by Tint, the compiler of Chromium, without a driver: node tint.mjs PACKAGE KERNELS.json, where PACKAGE is
// the path of Dawn's package `webgpu`, and KERNELS.json is an array of texts. Prints an array of messages, null where there
// are none.
import { readFileSync } from 'node:fs';
import { pathToFileURL } from 'node:url';

const [, , path, kernels] = process.argv;
const { create, globals } = await import(pathToFileURL(path).href);
Object.assign(globalThis, globals);
// Dawn crashes if it is collected while a device of it is in use.
globalThis.gpu = create(['backend=null']);
const adapter = await gpu.requestAdapter();
const device = await adapter.requestDevice();

const said = [];
for (const code of JSON.parse(readFileSync(kernels, 'utf8'))) {
    device.pushErrorScope('validation');
    const module = device.createShaderModule({ code });
    const { messages } = await module.getCompilationInfo();
    if (!messages.some(message => message.type === 'error')) {
        device.createComputePipeline({ layout: 'auto', compute: { module, entryPoint: 'main' } });
    }
    const error = await device.popErrorScope();
    const lines = messages.map(message => `${message.type} in line ${message.lineNum}: ${message.message}`);
    said.push(error || lines.length ? [...lines, error?.message ?? ''].join('\n') : null);
}
process.stdout.write(JSON.stringify(said), () => process.exit(0));
