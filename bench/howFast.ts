import { rowKey, sizeText, type BenchResult, type PeerResult } from "./results.ts";
import { figure, shareText } from "./table.ts";

/** What README shows of the rows: whole jobs, products at sizes that matter, the passes over memory. */
const SHOWN = [
  /^ntk /,
  /^training step /,
  /^(eigen with vectors|eigenvalues|cholesky|factor) /,
  /^product (jjt|gemm) store n=(512|1024) k=(2048|16384)$/,
  /^product (activate|mask) gelu n=1024 /,
  /^rows n=1024 /,
  /^finite rows=2048 /,
  /^((symmetric|plain) )?multiply n=4096$/,
  /^lanczos step n=4096 /,
  /^project n=4096 /,
  /^subtract n=4096 /,
];

const line = (cells: readonly string[]): string => `| ${cells.join(" | ")} |`;
const table = (head: readonly string[], rows: readonly (readonly string[])[]): string =>
  [head, head.map(() => "---"), ...rows].map(line).join("\n");

/** A short name for an adapter: `llvmpipe`, `SwiftShader`, else its own up to the first comma or bracket. */
export const shortName = ({ adapter: { description } }: BenchResult): string =>
  /SwiftShader|llvmpipe/.exec(description)?.[0] ?? description.split(/[,(]/)[0].trim();

/** The figures of README's section "How fast" in Markdown: machines, rows, other packages, and where we lose. */
export function howFast(results: readonly BenchResult[]): string {
  if (results.length === 0)
    return "Nothing was measured yet: `npm run bench -- --json bench/results/ADAPTER.json` does it.";
  return [machines(results), rows(results), packages(results)].filter(Boolean).join("\n\n");
}

function machines(results: readonly BenchResult[]): string {
  return table(
    ["adapter", "fma", "read", "copy", "one more dispatch", "submit to done", "measured with"],
    results.map((result) => {
      const { machine, adapter } = result;
      const per = machine.per === "core" ? " a core" : "";
      return [
        ...[shortName(result), `${figure(machine.fmaGflops)} GFLOP/s${per}`],
        ...[`${figure(machine.readGBs)} GB/s${per}`, `${figure(machine.copyGBs)} GB/s${per}`],
        ...[`${figure(machine.dispatchMicroseconds)} µs`, `${figure(machine.doneMicroseconds)} µs`],
        adapter.runtime,
      ];
    }),
  );
}

/** One line a row that any adapter has: its time and its share of the machine, by adapter. */
function rows(results: readonly BenchResult[]): string {
  const keys = new Map<string, { name: string; size: string }>();
  for (const result of results)
    for (const row of result.rows)
      if (SHOWN.some((shown) => shown.test(rowKey(row))))
        keys.set(rowKey(row), { name: row.name, size: sizeText(row.size) });
  const head = results.flatMap((result) => {
    const name = shortName(result);
    const per = result.machine.per === "core" ? " a core" : "";
    return [`ms, ${name}`, `GFLOP/s${per}, ${name}`, `GB/s${per}, ${name}`, `share, ${name}`];
  });
  return table(
    ["work", "size", ...head],
    [...keys].map(([key, { name, size }]) => [
      ...[name, size],
      ...results.flatMap((result) => {
        const row = result.rows.find((each) => rowKey(each) === key);
        if (!row?.ms) return ["–", "–", "–", row ? "wrong" : "–"];
        return [
          ...[figure(row.ms.median), row.flops > 0 ? figure(row.gflops) : "–", figure(row.gbs)],
          shareText(row),
        ];
      }),
    ]),
  );
}

const peerName = ({ name, version, backend }: PeerResult): string =>
  `${name} ${version}${typeof backend === "string" ? `, ${backend}` : ""}`;

/**
 * One line a work and adapter, one column a package: its time over ours; then the works at which one is faster. `by
 * hand` is the kernel layer by layer, as ours, written with a package's products; else its Jacobian, then J Jᵀ.
 */
function packages(results: readonly BenchResult[]): string {
  const lines = results.flatMap((result) => {
    const works = new Map<string, PeerResult[]>();
    for (const peer of result.peers) {
      const key = `${peer.work} ${sizeText(peer.size)}`;
      works.set(key, [...(works.get(key) ?? []), peer]);
    }
    return [...works].map(([work, peers]) => ({ work, adapter: shortName(result), peers }));
  });
  if (lines.length === 0) return "";
  const names = [...new Set(lines.flatMap(({ peers }) => peers.map(peerName)))].sort();
  const cell = (peer: PeerResult | undefined): string =>
    peer === undefined ? "–" : peer.ratio === null ? "wrong or failed" : `${figure(peer.ratio)} ×`;
  const where = lines.flatMap(({ work, adapter, peers }) => {
    const lost = peers.filter(({ ratio }) => ratio !== null && ratio < 1);
    const told = lost.map((peer) => `${peerName(peer)} (${figure(peer.ratio)})`);
    return lost.length > 0 ? [`- ${work} on ${adapter}: ${told.join("; ")}`] : [];
  });
  return [
    table(
      ["its time ÷ ours", "our adapter", ...names],
      lines.map(({ work, adapter, peers }) => [
        ...[work, adapter],
        ...names.map((name) => cell(peers.find((peer) => peerName(peer) === name))),
      ]),
    ),
    where.length > 0
      ? `Where another is faster, with its share of our time:\n\n${where.join("\n")}`
      : "None of them is faster at any of this work.",
  ].join("\n\n");
}
