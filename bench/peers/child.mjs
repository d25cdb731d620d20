// One package on one backend in a process of its own: the packages claim `navigator.gpu` for themselves, and one that
// crashes takes nothing with it. `peers.mjs` starts this and speaks to it by messages.
import { availableParallelism } from "node:os";
import { installDawn, installNavigator } from "./dawn.mjs";
import { Worker } from "./worker.mjs";

const [name, backend, adapter] = process.argv.slice(2);
/** For wasm: one a core. */
const threads = availableParallelism();

if (backend === "webgpu") installDawn(adapter, threads);
else {
  installNavigator({}, threads);
  globalThis.Worker = Worker;
}

const { open, version } = await import(`./${name}.mjs`);
const jobs = new Map();
let device = null;
let entries = [];
let trouble = null;

const calls = {
  async open() {
    const opened = await open({ backend, threads });
    ({ device, entries } = opened);
    // What a package swallows: a binding beyond the limit, for one, leaves the result as it was.
    device?.addEventListener("uncapturederror", ({ error }) => (trouble ??= error.message));
    const used = device ? null : (opened.threads ?? threads);
    return { version, threads: used, names: entries.map((entry) => entry.name) };
  },

  async prepare({ id, entry, work }) {
    const job = await entries.find(({ name }) => name === entry).prepare(work);
    if (job !== null) jobs.set(id, { job, result: null, runs: 0, rest: 0, least: Infinity });
    return job !== null;
  },

  /**
   * Does the work once, from operands on the device to a result that is finished there: `onSubmittedWorkDone` of the
   * package's own queue for WebGPU, the package's own promise for wasm.
   */
  async run({ id }) {
    const state = jobOf(id);
    if (state.result !== null) state.job.free(state.result);
    state.result = null;
    trouble = null;
    const cpu = process.cpuUsage();
    const start = performance.now();
    state.result = await state.job.submit();
    if (device) await settled(state, start);
    const ms = performance.now() - start;
    const { user, system } = process.cpuUsage(cpu);
    if (trouble !== null) throw new Error(trouble);
    return { ms, cpuMs: (user + system) / 1000 };
  },

  async read({ id }) {
    const { job, result } = jobOf(id);
    return job.read(result);
  },

  async destroy({ id }) {
    const { job, result } = jobOf(id);
    jobs.delete(id);
    if (result !== null) job.free(result);
    await job.destroy();
  },
};

function jobOf(id) {
  const state = jobs.get(id);
  if (!state) throw new Error("the job is gone: the process it was in has ended.");
  return state;
}

/**
 * Waits for the queue. While a promise is pending Dawn in Node keeps one core busy asking, which a software adapter
 * needs itself: so most of the time that the work takes is slept through first, learnt from the runs before.
 */
async function settled(state, start) {
  const rest = state.rest - (performance.now() - start);
  if (rest > 1) await new Promise((resolve) => setTimeout(resolve, rest));
  const asked = performance.now();
  await device.queue.onSubmittedWorkDone();
  const waited = performance.now() - asked;
  if (state.runs++ === 0) return; // it compiled
  state.least = Math.min(state.least, performance.now() - start);
  // Done when asked: perhaps done before.
  if (waited <= 1 + 0.03 * state.rest) state.rest *= 0.85;
  else state.rest = Math.min(state.rest + 0.75 * waited, 0.95 * state.least);
}

// Whoever waits for the machine would wait for an orphan, too.
process.on("disconnect", () => process.exit());
process.on("message", ({ ticket, call, ...options }) => {
  calls[call](options).then(
    (value) => process.send({ ticket, value }),
    (error) => process.send({ ticket, error: String(error?.message ?? error).slice(0, 2000) }),
  );
});
