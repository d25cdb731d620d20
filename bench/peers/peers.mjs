// Other packages as the bench meets them: each package and backend in a child process, one at work at a time.
import { fork } from "node:child_process";
import { existsSync } from "node:fs";
import { fileURLToPath } from "node:url";

const here = (file) => fileURLToPath(new URL(file, import.meta.url));

/** Packages by the name of their file here, and the backends that each has. */
const PACKAGES = { jax: "jax-js", tfjs: "tfjs", ort: "onnxruntime-web" };
const BACKENDS = ["webgpu", "wasm"];

/**
 * @typedef {{ kind: "gemm", n: number, k: number, m: number, a: Float32Array, b: Float32Array }} Gemm  [n,k]·[k,m]
 * @typedef {{ kind: "jjt", n: number, k: number, j: Float32Array }} Jjt  J Jᵀ, J [n,k] row-major
 * @typedef {{ kind: "ntk", spec: import("./layers.mjs").Spec, n: number, inputs: Float32Array,
 *   weights: { weight: Float32Array, bias?: Float32Array | null }[] }} Ntk  H [n·O,n·O], index i·O + output
 * @typedef {Omit<Ntk, "kind"> & { kind: "step", targets: Float32Array, rate: number }} Step  the parameters after one
 *   step of gradient descent on Σ ½ (f − y)²: weights [units, fan] and biases, layer by layer
 * @typedef {{ kind: "eigh", n: number, a: Float32Array }} Eigh  of symmetric A [n,n]: eigenvalues, then vectors [n,n],
 *   one a column
 * @typedef {{ kind: "cholesky", n: number, a: Float32Array }} Cholesky  L [n,n] of positive definite A = L Lᵀ
 * @typedef {Gemm | Jjt | Ntk | Step | Eigh | Cholesky} Work
 *
 * @typedef {object} Job  a work with its operands on the device
 * @property {() => Promise<{ ms: number, cpuMs: number }>} run  does it once. `ms`: wall time, taken in the child, from
 *   the call to a result that is finished on the device (`onSubmittedWorkDone` for WebGPU; wasm: the package's own
 *   promise); nothing is read back. `cpuMs`: processor time of all the child's threads meanwhile
 * @property {() => Promise<Float32Array>} read  the last run's result
 * @property {() => Promise<void>} destroy
 *
 * @typedef {object} Peer
 * @property {string} name  `… by hand` where the formula is written out with matrix products; else gradients are the
 *   package's own
 * @property {string} version
 * @property {"webgpu" | "wasm"} backend
 * @property {boolean} device  whether it works on the adapter; else on the processor
 * @property {number | null} threads  that wasm runs on; null on the adapter
 * @property {(work: Work) => Promise<Job | null>} prepare  null: it does not do such work
 */

/**
 * Opens the packages. Whatever goes wrong in one rejects its own promises alone.
 *
 * @param {object} options
 * @param {string} options.adapter  the adapter's own name (`AdapterInfo.name`). `prepareVulkan` must have run in this
 *   process (`adapters()` and `openGpu()` see to it), as the children inherit its environment
 * @param {(text: string) => void} [options.log]  told what the packages print, and who does not open and why
 * @param {string[]} [options.packages]  of jax, tfjs, ort
 * @param {string[]} [options.backends]  of webgpu, wasm
 * @param {number} [options.seconds]  a call that takes longer ends its child
 * @returns {Promise<{ peers: Peer[], failures: { name: string, backend: string, error: string }[], close(): void }>}
 */
export async function openPeers({
  adapter,
  log = () => {},
  packages = Object.keys(PACKAGES),
  backends = BACKENDS,
  seconds = 100,
}) {
  if (!existsSync(here("node_modules")))
    throw new Error("peers: the packages are not installed. Run `npm ci` in bench/peers.");
  const unknown = packages.find((file) => !(file in PACKAGES));
  if (unknown !== undefined)
    throw new RangeError(
      `peers: no package "${unknown}", but only ${Object.keys(PACKAGES).join(", ")}.`,
    );
  const children = [];
  const peers = [];
  const failures = [];
  let turn = Promise.resolve();
  /** One call after another, whoever makes it: two packages at once would share the processor. */
  const inTurn = (call) => (turn = turn.then(call, call));
  for (const file of packages)
    for (const backend of backends) {
      const name = PACKAGES[file];
      const child = startChild(file, backend, adapter, log, seconds);
      const call = (what, options) => inTurn(() => child.call(what, options));
      children.push(child);
      try {
        const { version, threads, names } = await call("open");
        for (const entry of names) peers.push(peer(entry, version, backend, threads, call));
      } catch (error) {
        failures.push({ name, backend, error: error.message });
        log(`${name} on ${backend} does not open: ${error.message}`);
      }
    }
  return { peers, failures, close: () => children.forEach((child) => child.close()) };
}

/**
 * onnxruntime's wasm for WebGPU, 26 MB, would otherwise be optimized for 30 s of processor time on every core while
 * others are timed: V8 is told to wait until a function is really hot.
 */
const FLAGS = ["--wasm-tiering-budget=20000000"];

let jobs = 0;

/** @returns {Peer} */
function peer(name, version, backend, threads, call) {
  return {
    name,
    version,
    backend,
    device: backend === "webgpu",
    threads,
    async prepare(work) {
      const id = jobs++;
      if (!(await call("prepare", { id, entry: name, work }))) return null;
      return {
        run: () => call("run", { id }),
        read: () => call("read", { id }),
        destroy: () => call("destroy", { id }),
      };
    },
  };
}

/**
 * A child that starts anew with the next call after its end. A job that fails ends it, where it holds no other: a heap
 * that overflowed stays broken.
 */
function startChild(file, backend, adapter, log, seconds) {
  const name = PACKAGES[file];
  let child = null;
  let late = null;
  let tickets = 0;
  let ended = Promise.resolve();
  const pending = new Map();
  const alive = new Set();

  function start() {
    child = fork(here("child.mjs"), [file, backend, adapter], {
      serialization: "advanced",
      stdio: ["ignore", "pipe", "pipe", "ipc"],
      execArgv: [...process.execArgv, ...FLAGS],
    });
    for (const stream of [child.stdout, child.stderr])
      stream.on("data", (text) =>
        log(`${name} on ${backend}: ${String(text).trimEnd().slice(0, 500)}`),
      );
    child.on("message", ({ ticket, value, error }) => {
      const { resolve, reject } = pending.get(ticket);
      pending.delete(ticket);
      if (error === undefined) resolve(value);
      else reject(new Error(error));
    });
    child.on("error", () => {}); // a message to a child that has just ended
    let end;
    ended = new Promise((resolve) => (end = resolve));
    child.on("exit", (status, signal) => {
      child = null;
      alive.clear();
      const error = new Error(
        late ?? `${name} on ${backend} ended by ${signal ?? `status ${status}`}.`,
      );
      late = null;
      for (const { reject } of pending.values()) reject(error);
      pending.clear();
      end();
    });
  }

  async function call(what, options = {}) {
    if (child === null) {
      start();
      if (what !== "open") await call("open");
    }
    if (what === "destroy" && !alive.delete(options.id)) return undefined;
    if (what === "prepare") alive.add(options.id);
    try {
      const value = await send(what, options);
      if (what === "prepare" && !value) alive.delete(options.id);
      return value;
    } catch (error) {
      alive.delete(options.id);
      if (child !== null && alive.size === 0) {
        child.kill("SIGKILL");
        await ended;
      }
      throw error;
    }
  }

  async function send(what, options) {
    const own = child;
    const clock = setTimeout(() => {
      late = `${name} on ${backend}: ${what} took longer than ${seconds} s and was ended.`;
      own.kill("SIGKILL");
    }, 1000 * seconds);
    try {
      return await new Promise((resolve, reject) => {
        const ticket = tickets++;
        pending.set(ticket, { resolve, reject });
        own.send({ ticket, call: what, ...options });
      });
    } finally {
      clearTimeout(clock);
    }
  }

  return { call, close: () => child?.kill("SIGKILL") };
}
