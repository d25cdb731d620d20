import { activationError } from "../../src/stages/0-activation.ts";
import type { Arithmetic } from "../reference/network.ts";

/** What the engine says its φ and φ′ may be off by, in the reference's terms. */
export const ENGINE: Partial<Arithmetic> = {
  epsPhi: (name, z, slope) => activationError(name, slope, z).value,
  epsPhiPrime: (name, z, slope) => activationError(name, slope, z).derivative,
};
