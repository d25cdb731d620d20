import type { Gpu } from "../src/index.ts";

/** What a host lends to measure with; whoever starts the bench hands it in, so that the bench itself knows no host. */
export interface Clock {
  /** Milliseconds from any moment. */
  readonly now: () => number;
  /**
   * Milliseconds of CPU that the device's threads have used up, where the device is software and the host can tell
   * them apart from those that wait for it; else null.
   */
  readonly cpu: (() => number) | null;
  /** Sleeps, where waiting for the device keeps a core busy; else null. */
  readonly sleep: ((ms: number) => Promise<void>) | null;
}

/** What one piece of work took. */
export interface Sample {
  readonly ms: number;
  readonly cpuMs: number | null;
}

/** The clock that every host has. */
export const wallClock: Clock = { now: () => performance.now(), cpu: null, sleep: null };

/**
 * Takes the time of one piece of work again and again: from its start until the device has done it.
 *
 * Where the host lends a way to sleep, most of the shortest time so far is slept through before the device is asked.
 */
export class Stopwatch {
  readonly #clock: Clock;
  readonly #done: () => Promise<unknown>;
  #shortest = 0;

  /** @param done waits until the device has done what was submitted */
  constructor(clock: Clock, done: () => Promise<unknown>) {
    this.#clock = clock;
    this.#done = done;
  }

  async time(work: () => Promise<void> | void): Promise<Sample> {
    const { now, cpu, sleep } = this.#clock;
    const cpuBefore = cpu?.() ?? 0;
    const before = now();
    await work();
    const rest = 0.7 * this.#shortest - (now() - before);
    if (sleep && rest > 2) await sleep(rest);
    await this.#done();
    const ms = now() - before;
    this.#shortest = this.#shortest > 0 ? Math.min(this.#shortest, ms) : ms;
    return { ms, cpuMs: cpu ? cpu() - cpuBefore : null };
  }
}

/** The time that rates come from: of the CPU where that is known, as other threads cannot take it away. */
export const rateMs = ({ ms, cpuMs }: Sample): number => cpuMs ?? ms;

/** A stopwatch for work on an engine; `waits`: the work ends only when the device has done it, and is not asked again. */
export const stopwatch = (
  { gpu, clock }: { readonly gpu: Gpu; readonly clock: Clock },
  { waits }: { readonly waits?: true },
): Stopwatch =>
  new Stopwatch(clock, async () => {
    if (!waits) await gpu.settle(gpu.device.queue.onSubmittedWorkDone());
  });
