/** What nobody ever wakes: waiting on it is a sleep of the whole thread, in fractions of a millisecond. */
const NEVER = new Int32Array(new SharedArrayBuffer(4));
/** The thread sleeps this long a turn of the event loop, in milliseconds. */
const TURN_MS = 0.2;

let waiting = 0;
let turning = false;

function turn(): void {
  turning = waiting > 0;
  if (!turning) return;
  Atomics.wait(NEVER, 0, 0, TURN_MS);
  setImmediate(turn);
}

/**
 * Waits for a promise of Dawn without keeping a core busy. While one is pending Dawn asks the device anew in every turn
 * of the event loop, which therefore never rests; here each turn sleeps a little.
 *
 * **Cost** about 5 % of a core; whatever else the event loop has to do begins up to 0.2 ms later.
 */
export async function breathe<T>(promise: Promise<T>): Promise<T> {
  waiting += 1;
  if (!turning) {
    turning = true;
    setImmediate(turn);
  }
  try {
    return await promise;
  } finally {
    waiting -= 1;
  }
}
