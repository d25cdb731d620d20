import type { Change } from "./compare.ts";
import type { Fingerprint } from "./fingerprint.ts";
import type { Machine } from "./machine.ts";
import { sizeText, type BenchResult, type PeerResult, type RowResult } from "./results.ts";

/** Three digits, in the shortest plain form. */
export function figure(value: number | null): string {
  if (value === null || !Number.isFinite(value)) return "–";
  if (value === 0) return "0";
  const size = Math.abs(value);
  if (size >= 1e6 || size < 1e-3) return value.toExponential(1);
  return size >= 100 ? String(Math.round(value)) : value.toPrecision(size >= 1 ? 3 : 2);
}

/** A share as people read it. */
export const percent = (share: number | null): string =>
  share === null ? "–" : `${(100 * share).toFixed(share < 0.1 ? 1 : 0)} %`;

/** Columns side by side: the first is text, the others are aligned to the right. */
export function columns(cells: readonly (readonly string[])[]): string[] {
  const widths = cells[0].map((_, c) => Math.max(...cells.map((row) => row[c].length)));
  return cells.map((row) =>
    row
      .map((cell, c) => (c === 0 ? cell.padEnd(widths[c]) : cell.padStart(widths[c])))
      .join("  ")
      .trimEnd(),
  );
}

/** What the machine can do, a name and a figure a line. */
export function machineFigures(machine: Machine): [string, string][] {
  const per = machine.per === "core" ? " per core" : "";
  const { fma, compileMilliseconds: compile } = machine;
  return [
    [
      "arithmetic",
      `${figure(machine.fmaGflops)} GFLOP/s${per} (${fma.shader}, ${fma.unroll} steps unrolled)`,
    ],
    [
      "memory",
      `read ${figure(machine.readGBs)}, copy ${figure(machine.copyGBs)}, triad ${figure(machine.triadGBs)} GB/s${per}`,
    ],
    ["workgroup memory", `${figure(machine.workgroupGBs)} GB/s${per}`],
    ["barrier", `${figure(machine.barrierNanoseconds)} ns for a group of 64`],
    [
      "one more dispatch",
      `${figure(machine.dispatchMicroseconds)} µs in the same pass, ${figure(machine.passMicroseconds)} µs in its own, ` +
        `${figure(machine.submitMicroseconds)} µs in its own submission`,
    ],
    [
      "waiting",
      `${figure(machine.doneMicroseconds)} µs until it is done, ${figure(machine.readbackMilliseconds)} ms to read 256 bytes`,
    ],
    [
      "compiling",
      `${figure(compile.small)} ms a small shader, ${figure(compile.large)} ms a large one`,
    ],
  ];
}

/** How the adapter computes, a question and an answer a line. */
export function fingerprintFigures(found: Fingerprint): [string, string][] {
  const { subgroups } = found;
  return [
    ["TwoSum is exact", `plain: ${found.twoSum}, guarded: ${found.twoSumGuarded}`],
    ["TwoProd by mask is exact", found.twoProd],
    ["fma is fused", `asked for: ${found.fmaFused}, unasked: ${found.contracted}`],
    ["subnormals", found.subnormals],
    [
      "NaN",
      `NaN ≠ NaN is ${found.nanUnequal}, max(NaN, 0) is ${found.maxOfNan}, 0 / 0 is ${found.zeroOverZero}`,
    ],
    [
      "built-in functions",
      `large tanh right: ${found.bigTanh}; sin off by ${figure(found.sinError)}`,
    ],
    [
      "subgroups",
      subgroups === null
        ? "not told"
        : subgroups.least === subgroups.most
          ? `${subgroups.least} lanes`
          : `${subgroups.least} to ${subgroups.most} lanes`,
    ],
    [
      "features",
      [
        found.f16 ? "f16" : "no f16",
        found.subgroupMatrix ? "subgroup matrices" : "no subgroup matrices",
        found.timestamps ? "timestamps" : "no timestamps",
      ].join(", "),
    ],
  ];
}

/** What a row reached of the machine, of another row, or of both: `52 % of fma, 60 % of product gemm …`. */
export const shareText = ({ share, of, against }: Pick<RowResult, "share" | "of" | "against">) =>
  [
    ...(of === null ? [] : [`${percent(share)} of ${of}`]),
    ...(against ? [`${percent(against.share)} of ${against.row}`] : []),
  ].join(", ") || "–";

/** The columns of a table of rows. */
export const ROW_HEAD = [
  ...["row", "size", "ms", "±", "CPU ms", "GFLOP/s", "GB/s", "share", "of", "class", "beside"],
];

/** One row of that table. */
export function rowCells(row: RowResult): string[] {
  const { name, size, ms, against } = row;
  if (!ms)
    return [
      name,
      sizeText(size),
      `wrong: error ÷ bound is ${figure(row.error)}`,
      ...Array(8).fill(""),
    ];
  return [
    ...[name, sizeText(size), figure(ms.median), percent(ms.noise / ms.median)],
    ...[figure(row.cpuMs), row.flops > 0 ? figure(row.gflops) : "–", figure(row.gbs)],
    ...[percent(row.share), row.of ?? "–"],
    row.class === null ? "" : `${row.class} ${sizeText(row.sizes ?? {})}`.trim(),
    against ? `${percent(against.share)} of ${against.row}` : "",
  ];
}

/** One row of the table of other packages. */
export function peerCells({ name, backend, version, work, size, ms, ratio, error }: PeerResult) {
  const median = typeof ms === "number" ? ms : (ms?.median ?? null);
  return [
    ...[`${name} ${version}${typeof backend === "string" ? ` on ${backend}` : ""}`, work],
    ...[sizeText(size), median === null ? "wrong" : figure(median)],
    ratio === null
      ? String(error ?? "")
          .split("\n")[0]
          .slice(0, 60)
      : `${figure(ratio)} ×`,
  ];
}

/** A whole result for a person. */
export function resultLines(result: BenchResult): string[] {
  const { adapter, machine, fingerprint, rows, skipped, peers } = result;
  const lines = [`${adapter.description} (${adapter.runtime})`, ""];
  lines.push(
    ...columns2(machineFigures(machine)),
    "",
    ...columns2(fingerprintFigures(fingerprint)),
  );
  if (rows.length > 0) lines.push("", ...columns([ROW_HEAD, ...rows.map(rowCells)]));
  if (skipped.length > 0)
    lines.push(
      "",
      ...skipped.map(({ name, size, why }) => `left out: ${name} ${sizeText(size)}, ${why}`),
    );
  if (peers.length > 0)
    lines.push(
      "",
      ...columns([["package", "work", "size", "ms", "its time ÷ ours"], ...peers.map(peerCells)]),
    );
  return lines;
}

function columns2(pairs: readonly (readonly [string, string])[]): string[] {
  const width = Math.max(...pairs.map(([name]) => name.length));
  return pairs.map(([name, value]) => `${name.padEnd(width)}  ${value}`);
}

/** A comparison for a person: what changed, then how many rows did not. */
export function changeLines(changes: readonly Change[]): string[] {
  const told = changes.filter(({ verdict }) => verdict !== "same");
  const same = changes.length - told.length;
  const cells = told.map(({ key, before, after, ratio, margin, verdict }) => [
    ...[key, figure(before), figure(after), `${figure(ratio)} ×`, `± ${percent(margin)}`, verdict],
  ]);
  return [
    ...(told.length > 0
      ? columns([["row", "ms before", "ms after", "ratio", "noise", ""], ...cells])
      : []),
    `${same} of ${changes.length} rows are as fast as before`,
  ];
}
