import { InputError } from "../errors.ts";
import { SLACK, U64 } from "../stages/0-double.ts";
import type { Spectrum } from "../stages/5-spectrum.ts";

/**
 * The effective dimension of a positive semidefinite matrix at a ridge μ: Σ λ / (λ + μ).
 *
 * @param spectrum all its eigenvalues, with half widths
 * @param ridge μ, above 0
 * @returns the sum and a half width around it, as the intervals of the eigenvalues give it
 */
export function effectiveDimension(
  { eigenvalues, errorBounds }: Pick<Spectrum, "eigenvalues" | "errorBounds">,
  ridge: number,
): { value: number; bound: number } {
  if (!(ridge > 0))
    throw new InputError(`effectiveDimension: ridge is ${ridge}, but must be above 0. Correct it.`);
  const share = (lambda: number) => (lambda > 0 ? 1 / (1 + ridge / lambda) : 0);
  let value = 0;
  let bound = 0;
  eigenvalues.forEach((lambda, i) => {
    const here = share(lambda);
    value += here;
    const reach = errorBounds[i];
    bound += Math.max(share(lambda + reach) - here, here - share(lambda - reach));
  });
  const roundings = (4 * eigenvalues.length + 8) * U64 * (value + bound);
  return { value, bound: bound * SLACK + roundings };
}
