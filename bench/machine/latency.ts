import barrierWgsl from "../../shaders/bench/barrier.wgsl";
import emptyWgsl from "../../shaders/bench/empty.wgsl";
import largeWgsl from "../../shaders/bench/large.wgsl";
import smallWgsl from "../../shaders/bench/small.wgsl";
import tileWgsl from "../../shaders/bench/tile.wgsl";
import { rateMs } from "../clock.ts";
import { median } from "../stats.ts";
import { mustEqual } from "./exactly.ts";
import type { Probe } from "./probe.ts";

/** What it costs to have anything done at all. */
export interface Latencies {
  /** One more dispatch in the same pass, in a pass of its own, in a submission of its own. */
  readonly dispatchMicroseconds: number;
  readonly passMicroseconds: number;
  readonly submitMicroseconds: number;
  /** From submitting one empty dispatch to being told that it is done. */
  readonly doneMicroseconds: number;
  /** From asking for 256 bytes to holding them. */
  readonly readbackMilliseconds: number;
}

const MORE = 256;

/** Times an empty dispatch in each way of handing it in. */
export async function latencies(probe: Probe): Promise<Latencies> {
  const out = probe.buffer(256);
  const empty = probe.dispatch(probe.pipeline("empty", emptyWgsl), 1, { out });
  const wall = ({ ms }: { ms: number }) => ms;
  const many = Array.from({ length: MORE }, () => empty);
  const ways: Record<string, () => void> = {
    one: () => probe.submit([empty]),
    dispatch: () => probe.submit(many),
    pass: () => probe.submit(...many.map((each) => [each])),
    submit: () => many.forEach((each) => probe.submit([each])),
  };
  const ms: Record<string, number> = {};
  // Too short to be slept through.
  const clock = { ...probe.clock, sleep: null };
  for (const [name, work] of Object.entries(ways))
    ms[name] = await probe.fastest(work, 10, wall, clock);
  const each = (name: string) => (1000 * Math.max(0, ms[name] - ms.one)) / (MORE - 1);

  const watch = probe.stopwatch(clock);
  const done: number[] = [];
  for (let i = 0; i < 21; i++) done.push((await watch.time(() => probe.submit([empty]))).ms);
  const readback: number[] = [];
  for (let i = 0; i < 21; i++) {
    const before = probe.clock.now();
    await probe.read(out, 0, 256);
    readback.push(probe.clock.now() - before);
  }
  return {
    dispatchMicroseconds: each("dispatch"),
    passMicroseconds: each("pass"),
    submitMicroseconds: each("submit"),
    doneMicroseconds: 1000 * median(done),
    readbackMilliseconds: median(readback),
  };
}

const TURNS = 2048;

/** Nanoseconds of one barrier of one group of 64 lanes: a loop with barriers less the same loop without. */
export async function barrierNanoseconds(probe: Probe): Promise<number> {
  const x = probe.upload(Float32Array.from({ length: 64 }, (_, lane) => 3 * lane));
  const out = probe.buffer(256);
  const ms: number[] = [];
  for (const FENCED of [0, 1]) {
    const pipeline = probe.pipeline("barrier", barrierWgsl, { TURNS, FENCED });
    const dispatch = probe.dispatch(pipeline, 1, { x, out });
    ms.push(await probe.fastest(() => probe.submit([dispatch]), 8, rateMs));
    const values = new Float32Array(await probe.read(out));
    mustEqual("barrier", values, (lane) => 3 * ((lane + FENCED * TURNS) % 64) + TURNS);
  }
  return (1e6 * Math.max(0, ms[1] - ms[0])) / TURNS;
}

/** Bytes a second that a group's own memory gives, in units of 10⁹. */
export async function workgroupGBs(probe: Probe): Promise<number> {
  const turns = 256;
  const most = 1024;
  const x = probe.upload(Float32Array.from({ length: 1024 }, (_, i) => i % 61));
  const out = probe.buffer(16 * 256 * most);
  const pipeline = probe.pipeline("tile", tileWgsl, { TURNS: turns });
  // 8 turns of 256 loads meet every vec4 of the tile equally often.
  const sums = [0, 1, 2, 3].map((c) => {
    let sum = 0;
    for (let i = c; i < 1024; i += 4) sum += i % 61;
    return (8 * turns * sum) / 256;
  });
  probe.submit([probe.dispatch(pipeline, 1, { x, out })]);
  await probe.done();
  mustEqual("tile", new Float32Array(await probe.read(out, 0, 4096)), (i) => sums[i % 4]);
  let rate = 0;
  for (let groups = 4; groups <= most; groups *= 4) {
    const dispatch = probe.dispatch(pipeline, groups, { x, out });
    const ms = await probe.fastest(() => probe.submit([dispatch]), 3, rateMs);
    rate = Math.max(rate, (16 * 8 * turns * 256 * groups) / ms / 1e6);
    if (ms > 20) break;
  }
  return rate;
}

/** Milliseconds from a shader's text to the end of its first dispatch, of a text that nobody has compiled before. */
export async function compileMilliseconds(
  probe: Probe,
): Promise<{ readonly small: number; readonly large: number }> {
  const x = probe.upload(Float32Array.from({ length: 192 }, (_, i) => i % 7));
  const out = probe.buffer(256);
  const at = (i: number) => i % 7;
  const exact = {
    small: at,
    large: (i: number) => {
      let sum = 0;
      for (let k = 0; k < 128; k++) sum += at(i + k) * at(i + k + 1) + k;
      return sum;
    },
  };
  const time = async (name: "small" | "large", code: string): Promise<number> => {
    // Whole, so that the result is exact, and drawn anew, so that neither Dawn nor the driver has it stored.
    const fresh = Math.floor(Math.random() * 2 ** 22);
    const before = probe.clock.now();
    const pipeline = probe.pipeline(name, code, { NEW: fresh });
    probe.submit([probe.dispatch(pipeline, 1, { x, out })]);
    await probe.done();
    const ms = probe.clock.now() - before;
    const values = new Float32Array(await probe.read(out));
    mustEqual(name, values, (i) => fresh + exact[name](i));
    return ms;
  };
  const small = [
    await time("small", smallWgsl),
    await time("small", smallWgsl),
    await time("small", smallWgsl),
  ];
  return { small: median(small), large: await time("large", largeWgsl) };
}
