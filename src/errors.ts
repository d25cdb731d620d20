/**
 * A value handed in by the caller is not what it must be.
 * The message reads `name: what is, but what must be. What to do.`
 */
export class InputError extends RangeError {
  override name = "InputError";
}

/** NaN or infinity where only finite numbers can be: the message says in which operand, where first, how many. */
export class NonFiniteError extends RangeError {
  override name = "NonFiniteError";
  readonly operand: string;
  /** Flat index of the first non-finite value in the operand, row-major. */
  readonly index: number;
  readonly count: number;

  constructor(caller: string, operand: string, index: number, count: number, cure: string) {
    super(
      `${caller}: ${operand} holds ${count} value${count === 1 ? "" : "s"} that ${
        count === 1 ? "is" : "are"
      } NaN or infinite, the first at index ${index}, but every value must be finite. ${cure}`,
    );
    this.operand = operand;
    this.index = index;
    this.count = count;
  }
}

/** What went wrong on the device's side. */
export type GpuErrorCode = "limit" | "memory" | "lost" | "shader" | "adapter";

/** The device cannot do what was asked: `code` says in which way. */
export class GpuError extends Error {
  override name = "GpuError";
  readonly code: GpuErrorCode;

  constructor(code: GpuErrorCode, message: string) {
    super(message);
    this.code = code;
  }
}
