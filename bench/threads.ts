import { readdirSync, readFileSync } from "node:fs";
import { wallClock, type Clock } from "./clock.ts";

const TASKS = "/proc/self/task";

/** Milliseconds on a CPU of each thread by its number, without the main one; null where this system does not say. */
function threadMs(): Map<string, number> | null {
  const used = new Map<string, number>();
  try {
    for (const thread of readdirSync(TASKS)) {
      if (thread === String(process.pid)) continue;
      try {
        const [nanoseconds] = readFileSync(`${TASKS}/${thread}/schedstat`, "utf8").split(" ");
        used.set(thread, Number(nanoseconds) / 1e6);
      } catch (error) {
        // It ended since the folder was listed.
        if ((error as NodeJS.ErrnoException).code === "ENOENT" && used.size > 0) continue;
        throw error;
      }
    }
  } catch {
    return null;
  }
  return used;
}

/**
 * The clock of a Node process. On Linux and for a software device it tells the CPU time of all threads but the main
 * one, which spins while a promise of Dawn's is pending.
 *
 * @param software whether the device's work is done by threads of this process
 */
export function processClock(software: boolean): Clock {
  const sleep = (ms: number) => new Promise<void>((resolve) => setTimeout(resolve, ms));
  if (!software || threadMs() === null) return { ...wallClock, sleep };
  let total = 0;
  let before = new Map<string, number>();
  const cpu = (): number => {
    const after = threadMs() ?? before;
    for (const [thread, ms] of after) total += Math.max(0, ms - (before.get(thread) ?? 0));
    before = after;
    return total;
  };
  return { ...wallClock, sleep, cpu };
}
