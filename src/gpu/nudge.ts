import type { OpenOptions } from "./options.ts";

/** An answer to nothing that takes longer than this, in milliseconds, waits for some clock. */
const LATE_MS = 20;

/**
 * A way to wait for a device that looks after what is done only now and then, as Firefox's does ten times a second:
 * an empty submission has it look at once. Undefined where a device answers as soon as it is done, or does not care.
 */
export async function nudging(
  device: GPUDevice,
): Promise<(<T>(promise: Promise<T>) => Promise<T>) | undefined> {
  // A loss is met by whoever waits next.
  const answer = () => device.queue.onSubmittedWorkDone().catch(() => {});
  const nudged = async <T>(promise: Promise<T>, until = Infinity): Promise<T> => {
    let pending = true;
    const end = () => {
      pending = false;
    };
    promise.then(end, end);
    while (pending && Date.now() < until) {
      device.queue.submit([]);
      device.pushErrorScope("internal");
      // There and back: no timer is needed. Where that takes no time, nothing else would get its turn.
      await device.popErrorScope().catch(end);
    }
    return promise;
  };
  const isLate = async (wait: (until: number) => Promise<unknown>) => {
    const until = Date.now() + LATE_MS;
    await wait(until);
    return Date.now() > until;
  };
  // What a borrowed device was busy with is not its fault: the second answer is to nothing.
  const needed = (await isLate(answer)) && (await isLate(answer));
  return needed && !(await isLate((until) => nudged(answer(), until))) ? nudged : undefined;
}

/** What a host lent, and a way to wait where it lent none and one is needed. */
export const waiting = async (options: OpenOptions, device: GPUDevice): Promise<OpenOptions> => ({
  ...options,
  breathe: options.breathe ?? (await nudging(device)),
});
