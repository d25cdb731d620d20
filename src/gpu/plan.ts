import { GpuError } from "../errors.ts";
import { ALIGN, matrixBytes, rounded } from "./matrix.ts";

/** The limits of a device that plans depend on, under WebGPU's own names. */
export interface Limits {
  /** Bytes of one storage binding; at least 128 MiB everywhere. */
  readonly maxStorageBufferBindingSize: number;
  /** Bytes of one buffer; at least 256 MiB everywhere. */
  readonly maxBufferSize: number;
  /** Workgroups along one axis of a grid; at least 65 535 everywhere. */
  readonly maxComputeWorkgroupsPerDimension: number;
}

/** WebGPU's default limits, which every device meets. */
export const DEFAULT_LIMITS: Limits = {
  maxStorageBufferBindingSize: 128 * 2 ** 20,
  maxBufferSize: 256 * 2 ** 20,
  maxComputeWorkgroupsPerDimension: 65535,
};

const mebibytes = (bytes: number): string => `${(bytes / 2 ** 20).toFixed(1)} MiB`;

/**
 * Whether a matrix can be bound.
 *
 * @throws GpuError "limit" with the limit's name, what is needed and what there is
 */
export function checkMatrixFits(
  limits: Limits,
  name: string,
  rows: number,
  columns: number,
  cure = "Take fewer samples, outputs or units, or a device with larger limits.",
): void {
  const needed = matrixBytes(rows, columns);
  for (const limit of ["maxStorageBufferBindingSize", "maxBufferSize"] as const)
    if (!(needed <= limits[limit]))
      throw new GpuError(
        "limit",
        `${name}: ${rows} × ${columns} values need ${mebibytes(needed)}, but ${limit} is ${mebibytes(limits[limit])}. ${cure}`,
      );
}

/** How a Jacobian is cut into panels of parameters: `count` panels of `depth`, the last one possibly shorter. */
export interface PanelPlan {
  readonly depth: number;
  readonly count: number;
  /** Bytes of one panel on the device. */
  readonly bytes: number;
}

/**
 * Parameters in a panel where nothing forces fewer: at least so many that adding the panel to the Gram costs nothing,
 * and 8 √p, with which the sums of a panel's blocks and of the panels are equally long.
 */
const panelDepth = (parameters: number): number => Math.max(4096, 8 * Math.sqrt(parameters));
/** A panel takes at most this much, whatever the device allows, so that larger limits give the same bits. */
const PANEL_BYTES = 64 * 2 ** 20;

/**
 * Cuts a Jacobian [parameters, columns] (parameter slowest) into panels that fit the device.
 *
 * The depth depends on the shape alone unless the limits are below WebGPU's defaults, so that a device with larger
 * limits adds in the same order and gives the same bits.
 *
 * @param columns samples × outputs
 * @param panels number of panels to use instead, for tests of the splitting itself
 * @throws GpuError "limit" where not even 16 parameters fit
 */
export function planPanels(
  limits: Limits,
  parameters: number,
  columns: number,
  panels?: number,
): PanelPlan {
  const bytes = Math.min(PANEL_BYTES, limits.maxStorageBufferBindingSize, limits.maxBufferSize);
  const fitting = Math.floor(bytes / matrixBytes(ALIGN, columns)) * ALIGN;
  if (fitting < ALIGN)
    checkMatrixFits({ ...limits, maxBufferSize: bytes }, "jacobian panel", ALIGN, columns);
  const wanted = panels === undefined ? panelDepth(parameters) : Math.ceil(parameters / panels);
  const depth = Math.min(rounded(wanted), fitting, rounded(parameters));
  return { depth, count: Math.ceil(parameters / depth), bytes: matrixBytes(depth, columns) };
}
