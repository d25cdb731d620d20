import { GpuError, NonFiniteError, type Gpu } from "../src/index.ts";
import { stopwatch, type Clock, type Sample } from "./clock.ts";
import { fingerprint } from "./fingerprint.ts";
import { machine, type Follow, type Machine } from "./machine.ts";
import {
  rowKey,
  type AdapterLabel,
  type BenchResult,
  type PeerResult,
  type RowResult,
  type Size,
  type SkippedRow,
} from "./results.ts";
import { summary } from "./stats.ts";
import { versus, type Peers, type Work } from "./versus.ts";

/** Work that is checked, then timed. */
export interface Row {
  readonly name: string;
  readonly size: Size;
  /** Operations of one call; of a symmetric product the full 2 · N² · K. */
  readonly flops: number;
  /** Bytes that one call cannot do without. */
  readonly bytes: number;
  /**
   * The rate that its bytes are held against: it mostly reads, or writes about as much as it reads. `host`: the device
   * has no part in it, as the host computes in f64.
   */
  readonly traffic: "read" | "copy" | "host";
  /** A row whose rate this one's is held against besides; measured in the same run. */
  readonly against?: Row;
  make(gpu: Gpu): Promise<Prepared> | Prepared;
  /** The same work as other packages take it, where they can do it. */
  readonly work?: () => Work;
}

/** A row's operands on the device. */
export interface Prepared {
  /** Records one call, or does a whole job. */
  run(): Promise<void> | void;
  /** Whether `run` ends only when the device has done the work: its end is then not asked for again. */
  readonly waits?: true;
  /** Does so many calls, where that takes less than one by one. */
  many?(calls: number): Promise<void>;
  /** Runs once and compares with f64. @returns the largest error ÷ bound; at most 1 where it is right */
  check(): Promise<number>;
  destroy(): void;
  readonly class?: string;
  readonly sizes?: Size;
}

/** What every measurement needs. */
export interface Bench {
  readonly gpu: Gpu;
  readonly clock: Clock;
  readonly machine: Machine;
  readonly signal?: AbortSignal;
}

const REPEATS = 20;
const LEAST_MS = 1000;
/** Where one repeat is long: no more of them than fit here, but `FEWEST`. */
const MOST_MS = 2000;
const FEWEST = 3;
/** Short calls are timed several at a time, so that starting and waiting, this often the shorter, are shared by them. */
const REPEAT_MS = 5;
const REPEAT_WAITS = 20;
const MOST_CALLS = 64;
/** Runs of this many milliseconds come first: what is compiled or allocated on the way does not count. */
const WARM_MS = 50;

/**
 * Measures one row: its result is compared with f64 first, and a wrong one is not timed.
 *
 * At least 20 repeats and 1 s, or where one repeat takes more than 100 ms as many as fit into 2 s, at least 3.
 */
export async function measure(bench: Bench, row: Row): Promise<RowResult> {
  const { name, size, flops, bytes } = row;
  const of = bindingOf(bench, row);
  const prepared = await row.make(bench.gpu);
  try {
    const error = await prepared.check().catch((failure: unknown) => {
      if (failure instanceof NonFiniteError) return NaN;
      throw failure;
    });
    const about = {
      ...{ name, size, flops, bytes, of, error: Number.isFinite(error) ? error : null },
      class: prepared.class ?? null,
      sizes: prepared.sizes ?? null,
    };
    if (!(error <= 1)) return { ...about, ...NO_SPEED };
    await bench.gpu.queue.drain();
    const { samples, calls } = await timed(bench, prepared);
    const ms = summary(samples.map((sample) => sample.ms / calls));
    const hasCpu = bench.clock.cpu !== null && of !== null;
    const cpu = hasCpu ? summary(samples.map((sample) => (sample.cpuMs ?? NaN) / calls)) : null;
    const gflops = flops / (cpu ?? ms).median / 1e6;
    const gbs = bytes / (cpu ?? ms).median / 1e6;
    return {
      ...{ ...about, checked: true, ms },
      ...{ cpuMs: cpu?.median ?? null, cpuNoise: cpu?.noise ?? null },
      ...{ repeats: samples.length, calls, gflops, gbs },
      share:
        of && (of === "fma" ? gflops / bench.machine.fmaGflops : gbs / rateOf(bench.machine, of)),
      against: null,
    };
  } finally {
    prepared.destroy();
  }
}

/** What a row has whose result is wrong. */
const NO_SPEED = {
  ...{ checked: false, ms: null, cpuMs: null, cpuNoise: null, repeats: 0, calls: 0 },
  ...{ gflops: null, gbs: null, share: null, against: null },
};

/** Times a row: warm-up, then repeats of so many calls that starting and waiting do not count. */
async function timed(
  bench: Bench,
  prepared: Prepared,
): Promise<{ samples: readonly Sample[]; calls: number }> {
  const { gpu, machine, signal } = bench;
  const repeat = (calls: number) => async () => {
    if (prepared.many) await prepared.many(calls);
    else for (let call = 0; call < calls; call++) await prepared.run();
    gpu.queue.submit();
  };
  const first = stopwatch(bench, prepared);
  let [warm, each] = [0, Infinity];
  for (let i = 0; i < 3 || (warm < WARM_MS && i < 100); i++) {
    signal?.throwIfAborted();
    const { ms } = await first.time(repeat(1));
    warm += ms;
    each = Math.min(each, ms);
    if (ms > WARM_MS) break;
  }
  const waiting = machine.doneMicroseconds / 1000;
  const long = Math.max(REPEAT_MS, REPEAT_WAITS * waiting);
  const many = Math.floor(long / Math.max(each - waiting, each / 10));
  const calls = Math.min(MOST_CALLS, Math.max(1, many));
  const samples: Sample[] = [];
  const watch = stopwatch(bench, prepared);
  for (let total = 0; !enough(samples.length, total);) {
    signal?.throwIfAborted();
    const sample = await watch.time(repeat(calls));
    total += sample.ms;
    samples.push(sample);
  }
  return { samples, calls };
}

const enough = (count: number, ms: number): boolean =>
  (count >= REPEATS && ms >= LEAST_MS) || (count >= FEWEST && ms >= MOST_MS);

const rateOf = (machine: Machine, of: "read" | "copy"): number =>
  of === "read" ? machine.readGBs : machine.copyGBs;

/** Which of the machine's rates would end last if each were reached; null: it is of another machine. */
function bindingOf({ machine }: Bench, { flops, bytes, traffic }: Row): RowResult["of"] {
  if (traffic === "host") return null;
  return flops / machine.fmaGflops >= bytes / rateOf(machine, traffic) ? "fma" : traffic;
}

/** What a bench is asked for. */
export interface BenchOptions extends Follow {
  readonly clock: Clock;
  readonly adapter: AdapterLabel;
  readonly commit: string | null;
  /** Features of the adapter; see `fingerprint`. */
  readonly features?: ReadonlySet<string>;
  readonly rows: readonly Row[];
  /** Whether rows were asked for by name, so that none is too slow. */
  readonly named: boolean;
  /** Other packages to be timed at the same work; null: none. */
  readonly peers?: Peers | null;
  /** Only at rows whose name and size contain this text. */
  readonly peersAt?: string;
  readonly onMachine?: (found: Pick<BenchResult, "machine" | "fingerprint">) => void;
  readonly onRow?: (row: RowResult) => void;
}

/** A call that would take longer than this, at a tenth of the peak, is measured only where it is asked for. */
const SLOW_MS = 5000;
/** What the host computes in f64 is no slower than this. */
const HOST_GFLOPS = 1;

/** Milliseconds that a call takes at the most, as far as that is known before it is measured. */
const expectedMs = ({ flops, traffic }: Row, { fmaGflops }: Machine): number =>
  flops / (traffic === "host" ? HOST_GFLOPS : fmaGflops / 10) / 1e6;

/** How fast rows are beside other rows: each row is measured once, whoever needs it first. */
export class Measured {
  readonly #bench: Bench;
  readonly #known = new Map<string, RowResult>();

  constructor(bench: Bench) {
    this.#bench = bench;
  }

  async of(row: Row): Promise<RowResult> {
    const known = this.#known.get(rowKey(row));
    if (known) return known;
    const alone = await measure(this.#bench, row);
    const result = { ...alone, against: await this.#against(row, alone) };
    this.#known.set(rowKey(row), result);
    return result;
  }

  async #against({ against }: Row, { gflops }: RowResult): Promise<RowResult["against"]> {
    if (!against || gflops === null) return null;
    const other = await this.of(against);
    return other.gflops === null ? null : { row: rowKey(against), share: gflops / other.gflops };
  }
}

/** The machine, its fingerprint, then row after row, each followed by other packages at the same work. */
export async function bench(gpu: Gpu, options: BenchOptions): Promise<BenchResult> {
  const { clock, adapter, commit, signal, say } = options;
  const found = {
    machine: await machine(gpu, clock, adapter.software, { signal, say }),
    fingerprint: await fingerprint(gpu, options.features),
  };
  options.onMachine?.(found);
  const here: Bench = { gpu, clock, machine: found.machine, signal };
  const measured = new Measured(here);
  const rows: RowResult[] = [];
  const skipped: SkippedRow[] = [];
  const peers: PeerResult[] = [];
  for (const [index, row] of options.rows.entries()) {
    signal?.throwIfAborted();
    const { name, size } = row;
    if (!options.named && expectedMs(row, found.machine) > SLOW_MS) {
      skipped.push({ name, size, why: "too slow here unless it is asked for by name" });
      continue;
    }
    say?.(`${index + 1}/${options.rows.length} ${rowKey(row)}`);
    try {
      const result = await measured.of(row);
      rows.push(result);
      options.onRow?.(result);
      if (options.peers && rowKey(row).includes(options.peersAt ?? ""))
        peers.push(...(await versus(here, row, options.peers, say)));
    } catch (error) {
      if (!(error instanceof GpuError && error.code === "limit")) throw error;
      skipped.push({ name, size, why: error.message });
    }
  }
  return { adapter, commit, date: new Date().toISOString(), ...found, rows, skipped, peers };
}
