// Makes a child process look like a browser with WebGPU on one adapter of this machine.
import { create, globals } from "webgpu";

const BACKENDS = { darwin: "metal", win32: "d3d12" };

/** What `create()` returned: Node dies when it is collected before the last promise has settled. */
export let hold;

/**
 * Installs WebGPU as `navigator.gpu`.
 *
 * @param adapter the adapter's own name, as `ntk adapters` prints it
 * @param threads what `navigator.hardwareConcurrency` says
 */
export function installDawn(adapter, threads) {
  hold = create([`backend=${BACKENDS[process.platform] ?? "vulkan"}`, `adapter=${adapter}`]);
  Object.assign(globalThis, globals);
  installNavigator({ gpu: hold }, threads);
  refuseShared(GPUQueue.prototype);
}

/** A navigator as packages ask for it: Node 20 has none. */
export function installNavigator(parts, threads) {
  const navigator = { userAgent: "node", hardwareConcurrency: threads, ...parts };
  Object.defineProperty(globalThis, "navigator", {
    value: navigator,
    configurable: true,
    writable: true,
  });
}

/**
 * Lets `writeBuffer` take shared memory, as browsers' does: Dawn's in Node refuses it or crashes. onnxruntime-web
 * keeps its heap in shared memory and writes its uniforms, a few dozen bytes each, from there.
 */
function refuseShared(queue) {
  const { writeBuffer } = queue;
  queue.writeBuffer = function (buffer, offset, data, ...range) {
    const memory = ArrayBuffer.isView(data) ? data.buffer : data;
    if (!(memory instanceof SharedArrayBuffer))
      return writeBuffer.call(this, buffer, offset, data, ...range);
    const unit = data.BYTES_PER_ELEMENT ?? 1;
    const from = (range[0] ?? 0) * unit;
    const length = range[1] === undefined ? data.byteLength - from : range[1] * unit;
    const bytes = new Uint8Array(memory, (data.byteOffset ?? 0) + from, length);
    return writeBuffer.call(this, buffer, offset, bytes.slice());
  };
}
