import { InputError, NonFiniteError } from "../errors.ts";

/** Numbers that a caller hands in. */
export type Values = Float32Array;

/**
 * Whether an array is one that can be computed with: f32, not shared, not detached, of the right length, finite.
 *
 * @param caller first word of the error
 * @param operand what the error calls the array
 * @throws InputError or NonFiniteError
 */
export function checkValues(caller: string, operand: string, values: Values, length: number): void {
  if (!(values instanceof Float32Array))
    throw new InputError(
      `${caller}: ${operand} is ${described(values)}, but must be a Float32Array. Convert it with Float32Array.from(…).`,
    );
  if (Object.prototype.toString.call(values.buffer) !== "[object ArrayBuffer]")
    throw new InputError(
      `${caller}: ${operand} lies in shared memory, but must be the caller's own. Copy it with slice() first.`,
    );
  if (values.length !== length)
    throw new InputError(
      `${caller}: ${operand} holds ${values.length} values${values.length === 0 ? " (or was detached)" : ""}, but must hold ${length}. Check its shape.`,
    );
  let first = -1;
  let count = 0;
  for (let index = 0; index < length; index++)
    if (!(Math.abs(values[index]) <= LARGEST)) {
      if (count === 0) first = index;
      count += 1;
    }
  if (count > 0)
    throw new NonFiniteError(caller, operand, first, count, "Remove or replace them first.");
}

/** A copy of an array that can be computed with, so that what its owner does to it later does not matter. */
export function ownValues(caller: string, operand: string, values: Values): Values {
  checkValues(caller, operand, values, values?.length);
  // A detached one cannot be copied; whoever asks for its length finds it out.
  return values.length === 0 ? values : values.slice();
}

const LARGEST = 3.4028234663852886e38;

/** @throws InputError for a key that is not in `known`, naming the nearest one; `word`: what the error calls a key */
export function checkOptions(
  caller: string,
  options: object,
  known: readonly string[],
  word = "option",
): void {
  if (typeof options !== "object" || options === null)
    throw new InputError(
      `${caller}: the options are ${described(options)}, but must be an object. Hand in { … } with any of ${known.join(", ")}.`,
    );
  for (const key of Object.keys(options))
    if (!known.includes(key)) {
      const near = nearest(key, known);
      throw new InputError(
        `${caller}: no ${word} "${key}". ${near ? `Did you mean "${near}"?` : `There are ${known.join(", ")}.`}`,
      );
    }
}

/** The word of `known` that `word` most likely meant, or null where none is near. */
export function nearest(word: string, known: readonly string[]): string | null {
  const ranked = known
    .map((candidate) => ({
      candidate,
      distance: editDistance(word.toLowerCase(), candidate.toLowerCase()),
    }))
    .sort((a, b) => a.distance - b.distance);
  return ranked.length > 0 && ranked[0].distance <= Math.max(2, word.length / 3)
    ? ranked[0].candidate
    : null;
}

function editDistance(a: string, b: string): number {
  let row = Array.from({ length: b.length + 1 }, (_, j) => j);
  for (let i = 1; i <= a.length; i++) {
    const next = [i];
    for (let j = 1; j <= b.length; j++)
      next[j] = Math.min(row[j] + 1, next[j - 1] + 1, row[j - 1] + (a[i - 1] === b[j - 1] ? 0 : 1));
    row = next;
  }
  return row[b.length];
}

/** A value in an error message: its type, and itself where short. */
export function described(value: unknown): string {
  if (value === null || value === undefined) return String(value);
  if (typeof value === "number" || typeof value === "boolean") return String(value);
  if (typeof value === "string") return `"${value}"`;
  if (Array.isArray(value)) return `an array of ${value.length}`;
  return `a ${value.constructor?.name ?? typeof value}`;
}
