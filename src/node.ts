import { checkOptions } from "./gpu/values.ts";
import { openGpu as openCore, type Gpu, type Limits } from "./index.ts";
import { findAdapter } from "./node/adapters.ts";
import { breathe } from "./node/breathe.ts";
import { cachedTexts } from "./node/cache.ts";
import { subgroupMatrices } from "./stages/0-subgroupMatrix.ts";
import { textureClass } from "./stages/0-textures.ts";

export * from "./index.ts";
export { adapters, type AdapterInfo } from "./node/adapters.ts";
export { circle, sphere } from "./formats/datasets.ts";
export { nodeFiles, writeAtomic } from "./formats/files.ts";
export { loadInputs, loadTargets, readTable, type Inputs, type Targets } from "./formats/inputs.ts";
export { npyHeader, readNpy, writeNpy } from "./formats/npy.ts";
export { readSafetensors, writeSafetensors } from "./formats/safetensors.ts";
export type { Table } from "./formats/table.ts";
export { loadWeights } from "./formats/weights.ts";

/**
 * Opens an engine in Node: finds Dawn and an adapter, a GPU first, then a software driver of the system, then the
 * embedded one of `@sparticuz/chromium`.
 *
 * ```ts
 * using gpu = await openGpu();
 * ```
 *
 * @param options adapter: part of the adapter's name, description or kind; default the variable NTK_ADAPTER.
 * limits: limits to plan with where they are smaller than the device's. search: false for fixed kernels instead of the
 * fastest, which are searched for once an adapter and kept in the user's cache. matrices: true has products try subgroup
 * matrices, for which Dawn's unsafe APIs are switched on; default whether the variable NTK_MATRICES is 1
 * @throws GpuError "adapter" where there is none, or none that matches
 */
export async function openGpu(
  options: {
    readonly adapter?: string;
    readonly limits?: Partial<Limits>;
    readonly search?: boolean;
    readonly matrices?: boolean;
  } = {},
): Promise<Gpu> {
  checkOptions("openGpu", options, ["adapter", "limits", "search", "matrices"]);
  const { adapter, hold, info } = await findAdapter(options.adapter, options.matrices);
  const lent = subgroupMatrices(adapter);
  return openCore({
    adapter,
    hold,
    limits: options.limits,
    search: options.search,
    ...lent,
    classes: { productTextures: textureClass(), ...lent.classes },
    store: cachedTexts("search"),
    runtime: `Node ${process.version}`,
    description: info.description,
    breathe,
    pause: (ms) => new Promise((resolve) => setTimeout(resolve, ms)),
  });
}
