/**
 * Whether a probe computed what it was to, before its time counts.
 *
 * @throws Error at the first value that differs, NaN too
 */
export function mustEqual(
  name: string,
  values: ArrayLike<number>,
  exact: (index: number) => number,
  how = "",
): void {
  for (let i = 0; i < values.length; i++)
    if (!(values[i] === exact(i)))
      throw new Error(
        `${name}: value ${i} ${how} is ${values[i]}, but must be ${exact(i)}. The adapter computes wrongly, so that its speed says nothing.`,
      );
}
