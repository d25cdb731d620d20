/** Waiting for devices that look after what is done only now and then. */
import { describe, expect, test } from "vitest";
import { nudging } from "../../src/gpu/nudge.ts";

const sleep = (ms: number) => new Promise<void>((resolve) => setTimeout(resolve, ms));

interface Habits {
  /** Milliseconds from a question to its answer, one an answer; the last for all others. */
  readonly answers: readonly number[];
  /** Whether a submission has everything answered at once that is done. */
  readonly wakes: boolean;
  /** Whether an error scope is popped by way of the event loop. */
  readonly turns: boolean;
}

/** As much of a device as is waited by. */
function deviceOf({ answers, wakes, turns }: Habits) {
  const seen = { submissions: 0, asked: 0, scopes: 0 };
  let open: (() => void)[] = [];
  const queue = {
    submit() {
      seen.submissions += 1;
      if (!wakes) return;
      open.forEach((answer) => answer());
      open = [];
    },
    onSubmittedWorkDone: () =>
      new Promise<void>((resolve) => {
        const ms = answers[Math.min(seen.asked++, answers.length - 1)];
        if (ms === 0) return resolve();
        open.push(resolve);
        setTimeout(resolve, ms).unref();
      }),
  };
  const device = {
    queue,
    pushErrorScope: () => void (seen.scopes += 1),
    popErrorScope: async () => {
      seen.scopes -= 1;
      if (turns) await sleep(1);
      return null;
    },
  };
  return { device: device as unknown as GPUDevice, seen };
}

describe("nudging", () => {
  test("a device that answers soon is left alone", async () => {
    const { device, seen } = deviceOf({ answers: [0], wakes: true, turns: true });
    expect(await nudging(device)).toBeUndefined();
    expect(seen).toEqual({ submissions: 0, asked: 1, scopes: 0 });
  });

  test("one that was only busy is left alone", async () => {
    const { device, seen } = deviceOf({ answers: [60, 0], wakes: true, turns: true });
    expect(await nudging(device)).toBeUndefined();
    expect(seen).toEqual({ submissions: 0, asked: 2, scopes: 0 });
  });

  test("one that answers late, but on submissions at once, is submitted to while it is waited for", async () => {
    // The fourth answer would come when this test is long over.
    const { device, seen } = deviceOf({ answers: [60, 60, 60, 1e6], wakes: true, turns: true });
    const wait = (await nudging(device))!;
    await wait(device.queue.onSubmittedWorkDone());
    const before = seen.submissions;
    expect(await wait(sleep(30).then(() => "value"))).toBe("value");
    expect(seen.submissions).toBeGreaterThan(before + 1);
    const after = seen.submissions;
    await sleep(10);
    expect(seen).toEqual({ submissions: after, asked: 4, scopes: 0 });
    await expect(wait(sleep(5).then(() => Promise.reject(new Error("mine"))))).rejects.toThrow(
      "mine",
    );
  });

  test.each([
    ["does not care for submissions", { answers: [60], wakes: false, turns: true }],
    ["never lets others have their turn", { answers: [60], wakes: false, turns: false }],
  ])("one that %s is waited for as it comes", async (_, habits) => {
    const { device, seen } = deviceOf(habits);
    expect(await nudging(device)).toBeUndefined();
    expect(seen.submissions).toBeGreaterThan(0);
  });

  test("where the device is lost the wait ends as its promise does", async () => {
    const { device } = deviceOf({ answers: [60], wakes: true, turns: true });
    const wait = (await nudging(device))!;
    device.popErrorScope = () => Promise.reject(new Error("lost"));
    await expect(wait(sleep(20).then(() => Promise.reject(new Error("lost"))))).rejects.toThrow(
      "lost",
    );
  });
});
