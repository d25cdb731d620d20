import { GpuError } from "../errors.ts";
import { nameDrivers, prepareVulkan } from "./vulkan.ts";

/** One adapter of this machine, as `ntk adapters` lists it. */
export interface AdapterInfo {
  /** The device's own name, which Dawn chooses it by. */
  readonly name: string;
  /** Name and driver in one line: what results and errors call it. */
  readonly description: string;
  readonly vendor: string;
  /** The driver with its version, in its own words; empty where it says nothing. */
  readonly driver: string;
  readonly kind: "gpu" | "system-software" | "embedded";
  /** Whether it is the one that is taken when none is asked for. */
  readonly default: boolean;
}

/** An adapter that is open. */
export interface FoundAdapter {
  /** What `create()` returned: held strongly until the device's last promise has settled, or Node dies. */
  readonly hold: unknown;
  readonly gpu: GPU;
  readonly adapter: GPUAdapter;
  readonly info: AdapterInfo;
}

/** An adapter that Dawn names, not opened yet. */
interface Candidate {
  readonly backend: string;
  readonly name: string;
  readonly kind: AdapterInfo["kind"];
}

const KINDS: readonly AdapterInfo["kind"][] = ["gpu", "system-software", "embedded"];
/** Where one device answers through several backends, the earlier one here is taken. */
const BACKENDS = ["metal", "d3d12", "vulkan", "d3d11", "opengl", "opengles"];
const NOBODY = "<no such adapter>";

function kindOf(name: string): AdapterInfo["kind"] {
  if (/swiftshader/i.test(name)) return "embedded";
  if (/llvmpipe|lavapipe|softpipe|basic render|\bwarp\b/i.test(name)) return "system-software";
  return "gpu";
}

type Create = (flags: string[]) => GPU;

async function dawn(): Promise<Create> {
  try {
    return (await import("webgpu")).create;
  } catch (error) {
    const { code, message } = error as NodeJS.ErrnoException;
    if (code === "ERR_MODULE_NOT_FOUND")
      throw new GpuError(
        "adapter",
        "adapter: the package webgpu is not installed, but Node has no WebGPU of its own. Run `npm install webgpu @sparticuz/chromium`.",
      );
    throw new GpuError(
      "adapter",
      `adapter: the package webgpu does not load on ${process.platform}-${process.arch} (${message.split("\n")[0]}), but must. Run \`npm install webgpu\` anew, or use a platform that it is made for.`,
    );
  }
}

/** Every adapter's name: Dawn lists them in its error for a name that does not exist. */
async function names(create: Create): Promise<Candidate[]> {
  let list = "";
  try {
    await create([`adapter=${NOBODY}`]).requestAdapter();
  } catch (error) {
    list = (error as Error).message;
  }
  const rank = (backend: string) =>
    (BACKENDS.indexOf(backend) + BACKENDS.length + 1) % (BACKENDS.length + 1);
  const found = [...list.matchAll(/^ \* backend: '([^']*)', name: '(.*)'$/gm)]
    .map(([, backend, name]) => ({ backend, name, kind: kindOf(name) }))
    .filter(({ backend }) => backend !== "null")
    .sort((a, b) => rank(a.backend) - rank(b.backend));
  return found
    .filter(({ name }, i) => found.findIndex((other) => other.name === name) === i)
    .sort((a, b) => KINDS.indexOf(a.kind) - KINDS.indexOf(b.kind));
}

/** The machine's adapters, best first, none opened: a GPU, a software driver of the system, the embedded one. */
async function candidates(create: Create): Promise<Candidate[]> {
  const { icd } = prepareVulkan();
  const found = await names(create);
  if (icd === null || found.some(({ kind }) => kind === "embedded")) return found;
  nameDrivers(icd);
  return names(create);
}

async function open(
  create: Create,
  { backend, name, kind }: Candidate,
  isDefault: boolean,
  matrices: boolean,
): Promise<FoundAdapter | null> {
  const gpu = create([
    `backend=${backend}`,
    `adapter=${name}`,
    ...(matrices ? ["enable-dawn-features=allow_unsafe_apis,vulkan_enable_f16_on_nvidia"] : []),
    "disable-dawn-features=timestamp_quantization",
  ]);
  const adapter = await gpu.requestAdapter().catch(() => null);
  if (!adapter) return null;
  const { vendor, description: driver } = adapter.info;
  const description = driver ? `${name}, ${driver}` : name;
  return {
    hold: gpu,
    gpu,
    adapter,
    info: { name, description, vendor, driver, kind, default: isDefault },
  };
}

/** The adapters among the candidates that open, one after another. */
async function* opened(
  create: Create,
  found: readonly Candidate[],
  matrices = false,
): AsyncGenerator<FoundAdapter> {
  let first = true;
  for (const candidate of found) {
    const adapter = await open(create, candidate, first, matrices);
    if (!adapter) continue;
    first = false;
    yield adapter;
  }
}

function noAdapter(): GpuError {
  const { trouble } = prepareVulkan();
  const linux = process.platform === "linux" && process.arch === "x64";
  return new GpuError(
    "adapter",
    `adapter: this machine has no adapter that WebGPU can use${trouble ? ` (unpacking the embedded one: ${trouble})` : ""}, but one must be there. ` +
      (linux
        ? "Run `npm install webgpu @sparticuz/chromium`, or install a GPU's Vulkan driver."
        : "Install the GPU's driver."),
  );
}

/** Every adapter of this machine, the default one first. @throws GpuError "adapter" where there is none */
export async function adapters(): Promise<AdapterInfo[]> {
  const create = await dawn();
  const infos: AdapterInfo[] = [];
  for await (const { info } of opened(create, await candidates(create))) infos.push(info);
  if (infos.length === 0) throw noAdapter();
  return infos;
}

/** Whether `text` means this adapter: part of its name, description or kind, in any case; `lavapipe` is `llvmpipe`. */
export function matchesAdapter(text: string, info: Partial<AdapterInfo>): boolean {
  const plain = text.trim().toLowerCase().replaceAll("lavapipe", "llvmpipe");
  return [info.name, info.description, info.kind].some((field) =>
    field?.toLowerCase().includes(plain),
  );
}

/**
 * Opens an adapter: the first that `text` means, or the machine's best.
 *
 * @param text default the variable NTK_ADAPTER; names and kinds are looked at first, then descriptions
 * @param matrices whether it is to list subgroup matrices, which takes Dawn's unsafe APIs; default whether the variable
 * NTK_MATRICES is 1
 * @returns the adapter, and what must be held as long as it is used
 * @throws GpuError "adapter" where there is none, or none that matches, with the list of what there is
 */
export async function findAdapter(
  text = process.env.NTK_ADAPTER,
  matrices = process.env.NTK_MATRICES === "1",
): Promise<FoundAdapter> {
  const create = await dawn();
  const found = await candidates(create);
  const wanted = text?.trim() ? text : null;
  const named = wanted === null ? found : found.filter((one) => matchesAdapter(wanted, one));
  for (const candidate of named) {
    const adapter = await open(create, candidate, candidate === found[0], matrices);
    if (adapter) return adapter;
  }
  const others: string[] = [];
  if (wanted !== null)
    for await (const adapter of opened(create, found, matrices)) {
      if (matchesAdapter(wanted, adapter.info)) return adapter;
      others.push(`${adapter.info.description} (${adapter.info.kind})`);
    }
  if (others.length === 0) throw noAdapter();
  throw new GpuError(
    "adapter",
    `adapter: none matches "${wanted}", but there ${others.length === 1 ? "is" : "are"}: ${others.join("; ")}. Ask for part of one of these, or leave --adapter and NTK_ADAPTER out.`,
  );
}
