// The browser's Worker for Node: jax-js and tfjs run their wasm on several threads only where there is one.
import { resolveObjectURL } from "node:buffer";
import { Worker as Thread } from "node:worker_threads";

const PRELUDE = `
const { parentPort, workerData } = require("node:worker_threads");
globalThis.self = globalThis;
globalThis.postMessage = (message, transfer) => parentPort.postMessage(message, transfer);
parentPort.on("message", (data) => self.onmessage?.({ data }));
`;

/** A thread that runs the script behind a blob's address; messages wait until it has started. */
export class Worker {
  #thread;
  onmessage = null;
  onerror = null;

  constructor(url) {
    this.#thread = resolveObjectURL(String(url))
      .text()
      .then((script) => {
        const thread = new Thread(PRELUDE + script, { eval: true });
        thread.on("message", (data) => this.onmessage?.({ data }));
        thread.on("error", (error) => this.onerror?.(error));
        thread.unref();
        return thread;
      });
  }

  postMessage(message, transfer) {
    void this.#thread.then((thread) => thread.postMessage(message, transfer));
  }

  terminate() {
    void this.#thread.then((thread) => thread.terminate());
  }
}
