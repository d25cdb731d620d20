import { existsSync, readdirSync, readFileSync, statSync } from "node:fs";
import { describe, expect, test, vi } from "vitest";
import { adapters } from "../../src/node.ts";
import { main } from "../../src/cli/ntk.ts";
import { deviceTest, Folder, words, type Run } from "./run.ts";

const folder = new Folder();
const good = {
  widths: [2, 4, 1],
  activation: "relu",
  parameterization: "ntk",
  weightScale: 1,
  biasScale: 0.1,
};
folder.network("net.json", good);
folder.array("X.npy", [3, 2], [1, 0, 0, 1, -1, 0]);
const run = "--network net.json --inputs X.npy";

/** An error's last line: what is, what must be and what to do, or what there is. */
function expectRefusal({ status, stdout, last }: Run, expected: number, says: RegExp): void {
  expect(last).toMatch(says);
  expect({ status, stdout }).toEqual({ status: expected, stdout: "" });
  expect(last).toMatch(/( (but|must) |Did you mean |There are ).*[.?)]$/);
  expect(last).not.toMatch(/undefined|\[object|Error:| {4}at /);
}

/** The command line in this process: what is refused before a device opens needs no other. */
async function here(args: string): Promise<Run> {
  const text = { stdout: "", stderr: "" };
  const spies = (["stdout", "stderr"] as const).map((name) =>
    vi.spyOn(process[name], "write").mockImplementation((chunk) => {
      text[name] += String(chunk);
      return true;
    }),
  );
  const place = process.cwd();
  try {
    process.chdir(folder.path);
    const status = await main(words(args));
    return { status, ...text, last: text.stderr.trimEnd().split("\n").at(-1) ?? "" };
  } finally {
    process.chdir(place);
    spies.forEach((spy) => spy.mockRestore());
  }
}

type Case = readonly [name: string, args: string, says: RegExp];
const refused = (cases: readonly Case[]) =>
  test.for(cases)("%s", async ([, args, says]) => expectRefusal(await here(args), 2, says));
const refusedByDevice = (status: number, cases: readonly Case[]) =>
  cases.forEach(([name, args, says]) =>
    deviceTest(name, async () => expectRefusal(await folder.ntk(args), status, says)),
  );

describe("the command line is refused (2)", () => {
  refused([
    ["without a command", "", /command/],
    ["an unknown command, with the nearest", "gran --json", /gran.*Did you mean gram\?/],
    ["an unknown command that is near none", "frobnicate", /frobnicate/],
    ["an unknown option, with the nearest", `gram ${run} --metod jacobian`, /--metod.*--method/],
    ["an unknown option that is near none", `gram ${run} --frobnicate`, /--frobnicate/],
    ["an option of another command", `forward ${run} --top 3`, /--top/],
    ["an option without its value", "gram --network", /--network/],
    ["an option given twice", `gram ${run} --seed 1 --seed 1`, /--seed is given twice/],
    ["an empty value", `gram ${run} --out ''`, /--out is empty/],
    ["a word too many", `gram ${run} H.npy`, /too many arguments/],
    ["no network", "gram --inputs X.npy --json", /--network is missing/],
    ["no inputs", "jacobian --network net.json", /--inputs is missing/],
    ["report without a folder", `report ${run}`, /--out is missing/],
    ["a route that is none", `gram ${run} --method fast`, /--method is fast.*jacobian/],
    ["outputs that are none", `gram ${run} --outputs some`, /--outputs is some.*trace/],
    ["a normalization that is none", `gram ${run} --normalize max`, /--normalize.*max.*sqrt-d/],
    [
      "--precision of another kind",
      `spectrum ${run} --precision double`,
      /--precision is double.*verified/,
    ],
    ["a seed with a fraction", `gram ${run} --seed 1.5`, /--seed is 1\.5.*4294967295/],
    ["a negative seed", `gram ${run} --seed -1`, /--seed is -1/],
    ["a seed of 2³²", `gram ${run} --seed 4294967296`, /--seed is 4294967296/],
    ["a seed that is no number", `gram ${run} --seed 0x10`, /--seed is 0x10/],
    ["both weights and seed", `gram ${run} --weights . --seed 1`, /--weights and --seed/],
    ["--top 0", `spectrum ${run} --top 0`, /--top is 0/],
    ["--top beyond n", `spectrum ${run} --top 9999`, /--top is 9999.*3/],
    ["--bottom beyond n", `spectrum ${run} --bottom 4`, /--bottom is 4.*3/],
    ["--bottom −1", `spectrum ${run} --bottom -1`, /--bottom is -1/],
    ["--all with --top", `spectrum ${run} --all --top 1`, /--all.*--top/],
    ["a matrix and a route", "spectrum --gram X.npy --method jacobian", /--gram and --method/],
    ["a matrix and a network", `spectrum ${run} --gram X.npy`, /--gram and --network/],
  ]);

  test.concurrent.for([
    [`gram ${run} --metod jacobian`, "--method"],
    ["gram --network wrong0.json --inputs X.npy", "width"],
    [`gram ${run} --weights nowhere --json`, "nowhere"],
  ] as const)("as a process of its own too: ntk %s", async ([args, says]) => {
    expectRefusal(await folder.ntk(args), 2, new RegExp(says));
  });

  test.concurrent("help is no error: it goes to stdout with status 0", async () => {
    const [all, one] = await Promise.all([folder.ntk("--help"), folder.ntk("gram --help")]);
    for (const { status, stderr } of [all, one])
      expect({ status, stderr }).toEqual({ status: 0, stderr: "" });
    for (const name of ["adapters", "forward", "jacobian", "gram", "spectrum", "report"])
      expect(all.stdout).toContain(name);
    for (const option of ["--network", "--weights", "--seed", "--inputs", "--inputs2", "--json"])
      expect(one.stdout).toContain(option);
  });
});

describe("the network file is refused by the key that is wrong (2)", () => {
  const cases: readonly [name: string, spec: unknown, says: RegExp][] = [
    ["an unknown key, with the nearest", { ...good, width: 3 }, /"width".*"widths"/],
    ["an unknown key that is near none", { ...good, zebra: 3 }, /"zebra"/],
    ...Object.keys(good).map((key): [string, unknown, RegExp] => [
      `no ${key}`,
      { ...good, [key]: undefined },
      new RegExp(`"${key}" is missing`),
    ]),
    ["widths that are no list", { ...good, widths: "2,4,1" }, /widths is "2,4,1"/],
    ["one width", { ...good, widths: [2] }, /widths is an array of 1/],
    ["a width of 0", { ...good, widths: [2, 0, 1] }, /widths\[1\] is 0/],
    ["a width with a fraction", { ...good, widths: [2, 2.5, 1] }, /widths\[1\] is 2\.5/],
    ["a width that is text", { ...good, widths: [2, 4, "1"] }, /widths\[2\] is "1"/],
    ["an unknown activation", { ...good, activation: "rleu" }, /activation is "rleu".*"relu"/],
    ["an activation that is a number", { ...good, activation: 3 }, /activation is 3/],
    ["too many activations", { ...good, activation: ["relu", "tanh"] }, /activation lists 2.* 1 /],
    ["an unknown one among activations", { ...good, activation: ["no"] }, /activation is "no"/],
    [
      "an unknown parameterization",
      { ...good, parameterization: "mup" },
      /parameterization is "mup"/,
    ],
    ["a weightScale of text", { ...good, weightScale: "1" }, /weightScale is "1"/],
    ["a weightScale of null", { ...good, weightScale: null }, /weightScale is null/],
    ["a biasScale that is true", { ...good, biasScale: true }, /biasScale is true/],
    ["a weightScale beyond f32", { ...good, weightScale: 1e39 }, /weightScale is 1e\+39/],
    ["a fan that is none", { ...good, fan: "both" }, /fan is "both"/],
    ["a slope without leaky_relu", { ...good, negativeSlope: 0.1 }, /negativeSlope.*leaky_relu/],
    [
      "a slope that is no number",
      { ...good, activation: "leaky_relu", negativeSlope: [] },
      /negativeSlope/,
    ],
    ["null in place of an object", null, /null/],
    ["a list in place of an object", [], /"widths" is missing/],
  ];
  refused(
    cases.map(([name, spec, says], k) => {
      folder.network(`wrong${k}.json`, spec);
      return [name, `gram --network wrong${k}.json --inputs X.npy`, says];
    }),
  );
  folder.write("broken.json", '{"widths": [2, 4, 1],\n "activation": }\n');
  refused([
    ["no JSON", "gram --network broken.json --inputs X.npy", /broken\.json: is not JSON/],
    ["no file", "gram --network nowhere.json --inputs X.npy", /nowhere\.json.*does not exist/],
    ["a folder", "gram --network . --inputs X.npy", /is a folder/],
    [
      "widths that the inputs do not match",
      "gram --network net.json --inputs sphere:3:4:0",
      /3 features.* 2/,
    ],
  ]);
});

describe("weights and inputs are refused (2)", () => {
  const folderOf = (arrays: Record<string, [number[], number[]]>): string => {
    const made = new Folder();
    for (const [file, [shape, values]] of Object.entries(arrays))
      made.array(`${file}.npy`, shape, values);
    return made.path;
  };
  const W1: [number[], number[]] = [[4, 2], Array<number>(8).fill(1)];
  const b1: [number[], number[]] = [[4], [1, 2, 3, 4]];
  const W2: [number[], number[]] = [
    [1, 4],
    [1, 1, 1, 1],
  ];
  const b2: [number[], number[]] = [[1], [1]];
  folder.network("nobias.json", { ...good, biasScale: null });
  folder.array("nan.npy", [3, 2], [1, 0, NaN, 1, Infinity, 0]);
  folder.array("large.npy", [3, 2], [1, 0, 1e39, 1, 0, 0], true);
  folder.array("empty.npy", [0, 2], []);
  folder.array("none.npy", [2, 0], []);
  folder.array("zero.npy", [2, 2], [1, 1, 0, 0]);
  folder.write("short.npy", folder.bytes("X.npy").subarray(0, -4));
  folder.write("long.npy", Buffer.concat([folder.bytes("X.npy"), Buffer.alloc(4)]));
  folder.write("noise.bin", "no known kind");
  folder.write("noise.npz", "PK no archive");
  folder.write("ragged.csv", "1,2\n3\n");
  folder.write("noise-idx3-ubyte", "noise");
  folder.write("short.safetensors", Uint8Array.of(255, 0, 0, 0, 0, 0, 0, 0, 123));
  const net = "gram --network net.json --inputs";
  const withWeights = (arrays: Record<string, [number[], number[]]>, network = "net.json") =>
    `gram --network ${network} --inputs X.npy --weights ${folderOf(arrays)}`;
  refused([
    [
      "NaN and infinity in inputs, with place and number",
      `${net} nan.npy`,
      /nan\.npy: inputs holds 2 .*index 2/,
    ],
    ["inputs beyond f32", `${net} large.npy`, /large\.npy: inputs is 1e\+39 at index 2/],
    ["no samples", `${net} empty.npy`, /\[0, 2\]/],
    ["no features", `${net} none.npy`, /\[2, 0\]/],
    ["a row of zeros that is to have norm 1", `${net} zero.npy --normalize unit`, /row 1/],
    ["an .npy cut short", `${net} short.npy`, /short\.npy: holds 20 bytes.*24/],
    ["an .npy with bytes left over", `${net} long.npy`, /long\.npy: holds 28 bytes.*24/],
    ["a file of no known kind", `${net} noise.bin`, /noise\.bin: is of no known kind/],
    ["an .npz that is none", `${net} noise.npz`, /noise\.npz/],
    ["a ragged .csv", `${net} ragged.csv`, /ragged\.csv: line 2/],
    ["an IDX file that is none", `${net} noise-idx3-ubyte`, /noise-idx3-ubyte/],
    ["a set that is none", `${net} square:4`, /square:4/],
    ["a circle without points", `${net} circle:0`, /N = 0/],
    ["too many samples of a class", `${net} mnist:0:60000`, /class 0/],
    ["inputs that are not there", `${net} nowhere.npy`, /nowhere\.npy.*does not exist/],
    ["second inputs of another width", `${net} X.npy --inputs2 sphere:3:4:0`, /3 features.*2/],
    ["second inputs with NaN", `${net} X.npy --inputs2 nan.npy`, /nan\.npy: inputs/],
    [
      "weights of other widths",
      withWeights({
        W1: [
          [3, 2],
          [1, 1, 1, 1, 1, 1],
        ],
        b1,
        W2,
        b2,
      }),
      /W1 \[3, 2\].*\[4, 2\]/,
    ],
    ["a layer of weights that is missing", withWeights({ W1, b1, W2 }), /lacks b2/],
    ["a layer of weights too many", withWeights({ W1, b1, W2, b2, W3: b2 }), /W3/],
    ["a bias where biasScale is null", withWeights({ W1, W2, b2 }, "nobias.json"), /b2/],
    [
      "NaN in weights, with the array",
      withWeights({
        W1,
        b1,
        W2: [
          [1, 4],
          [1, 1, NaN, 1],
        ],
        b2,
      }),
      /W2 holds 1 .*index 2/,
    ],
    ["weights that are not there", `gram ${run} --weights nowhere`, /nowhere/],
    ["a .safetensors cut short", `gram ${run} --weights short.safetensors`, /short\.safetensors/],
    [
      "an output whose folder is not there",
      `gram ${run} --out nowhere/H.npy`,
      /nowhere\/H\.npy.*does not exist/,
    ],
    ["an output that is a folder", `forward ${run} --out .`, /is a folder/],
  ]);

  test.concurrent(
    "an output that cannot be written is refused before anything is computed",
    async () => {
      const result = await here(`jacobian ${run} --out nowhere/J.npy`);
      expectRefusal(result, 2, /nowhere/);
      expect(result.stderr.trimEnd()).toBe(result.last);
    },
  );

  folder.network("tall.json", { ...good, widths: [2, 8, 8, 8, 1], weightScale: 1e30 });
  folder.network("deep.json", { ...good, widths: [2, 8, 8, 8, 1], weightScale: 4 });
  folder.network("wild.json", { ...good, parameterization: "standard", weightScale: 3e38 });
  folder.array("huge.npy", [2, 2], [3e38, 3e38, -3e38, 3e38]);
  refusedByDevice(2, [
    [
      "weights that overflow in layer 2, by its number",
      "forward --network tall.json --inputs X.npy",
      /layer 2/,
    ],
    [
      "inputs that overflow in layer 1, by its number",
      "gram --network deep.json --inputs huge.npy",
      /layer 1/,
    ],
    [
      "drawn weights beyond f32, by their layer",
      "gram --network wild.json --inputs X.npy",
      /layer 1/,
    ],
  ]);

  refusedByDevice(2, [
    ["report's --top beyond n", `report ${run} --out report --top 9999`, /top is 9999.*3/],
    ["report's folder that is a file", `report ${run} --out net.json`, /net\.json: .*folder/],
    ["vectors that cannot be written", `spectrum ${run} --vectors no/V.npy`, /no\/V\.npy.*exist/],
  ]);

  folder.network("steep.json", {
    ...good,
    widths: [1, 1, 1],
    activation: "linear",
    biasScale: null,
  });
  deviceTest(
    "a Jacobian that overflows where no value before it does is refused by its layer",
    async () => {
      const steep = folderOf({ W1: [[1, 1], [1e-25]], W2: [[1, 1], [1e25]] });
      folder.array("far.npy", [1, 1], [1e25]);
      const args = `--network steep.json --weights ${steep} --inputs far.npy --out steep.npy`;
      const [jacobian, gram] = await Promise.all([
        folder.ntk(`jacobian ${args}`),
        folder.ntk(`gram ${args}`),
      ]);
      expectRefusal(jacobian, 2, /layer 1/);
      expectRefusal(gram, 2, /tangent kernel/);
      expect(existsSync(folder.at("steep.npy"))).toBe(false);
    },
  );
});

test.concurrent(
  "a result that nobody reads any more ends the run with 2 and without a stack",
  async () => {
    const { child, done } = folder.start(["--help"]);
    child.stdout?.destroy();
    const { status, stderr, last } = await done;
    expect(status).toBe(2);
    expect(stderr.trimEnd()).toBe(last);
    expect(last).toMatch(/^ntk: stdout must be written, but fails: .*EPIPE/);
  },
);

describe("the device is what refuses (3)", () => {
  const list = adapters().catch(() => []);

  deviceTest("an adapter that is not there, with the list of what is", async () => {
    const [option, variable] = await Promise.all([
      folder.ntk(`gram ${run} --adapter nonsense`),
      folder.ntk(`forward ${run}`, { NTK_ADAPTER: "nonsense" }),
    ]);
    for (const result of [option, variable]) {
      expectRefusal(result, 3, /none matches "nonsense"/);
      for (const { description } of await list) expect(result.last).toContain(description);
    }
  });

  deviceTest("--adapter takes name and kind in any case, and goes before NTK_ADAPTER", async () => {
    const [{ name, kind, description }] = await list;
    const asked = [
      `--adapter ${name.toUpperCase().split(" ")[0]}`,
      `--adapter ${kind.toUpperCase()}`,
    ];
    for (const option of asked) {
      const { stdout } = await folder.ntk(`forward ${run} --json ${option}`, {
        NTK_ADAPTER: "nonsense",
      });
      expect((JSON.parse(stdout) as { adapter: string }).adapter).toBe(description);
    }
  });

  // H of 70 000 samples is 18 GiB: beyond the 4 GiB less one byte that any binding can have.
  folder.network("wide.json", { ...good, widths: [2, 40000, 40000, 1] });
  refusedByDevice(3, [
    [
      "a kernel beyond a binding",
      "gram --network net.json --inputs circle:70000",
      /gram: .*MiB, but maxStorageBufferBindingSize is .* MiB\. Take fewer samples/,
    ],
    [
      "a kernel beyond a binding, for its spectrum by a route that stores it",
      "spectrum --network net.json --inputs circle:70000 --outputs trace",
      /maxStorageBufferBindingSize is .*Take fewer/,
    ],
    [
      "weights beyond a binding, before they are drawn",
      "forward --network wide.json --inputs X.npy",
      /layer 2 weights: 40000 × 40000 values need .* MiB, but max/,
    ],
  ]);
});

describe("interrupted (130)", () => {
  folder.network("long.json", { ...good, widths: [2, 512, 512, 1], activation: "tanh" });
  const left = () => readdirSync(folder.path).filter((name) => /(^\.|^[HJ]_)/.test(name));

  deviceTest("in the middle of a long job, leaves no output and no temporary file", async () => {
    const args = "gram --network long.json --inputs circle:2048 --method jacobian --out H_long.npy";
    const { child, done } = folder.start([...args.split(" "), "--json"]);
    child.stderr?.on("data", (chunk: string) => chunk.includes("plan:") && child.kill("SIGINT"));
    const { status, stdout, last } = await done;
    expect({ status, stdout }).toEqual({ status: 130, stdout: "" });
    expect(last).toContain("interrupted");
    expect(left().filter((name) => name.includes("H_long"))).toEqual([]);
  });

  deviceTest("while it writes, leaves the old file as it was and no temporary one", async () => {
    folder.write("J_old.npy", "old");
    const args = "jacobian --network long.json --inputs circle:2048 --out J_old.npy";
    const { child, done } = folder.start(args.split(" "));
    const growing = () =>
      left().some((name) => name.startsWith(".J_old") && statSync(folder.at(name)).size > 1000);
    await vi.waitUntil(growing, { timeout: 60_000, interval: 5 });
    child.kill("SIGINT");
    const { status, stdout, last } = await done;
    expect({ status, stdout }).toEqual({ status: 130, stdout: "" });
    expect(last).toContain("interrupted");
    expect(readFileSync(folder.at("J_old.npy"), "utf8")).toBe("old");
    expect(left().filter((name) => name.startsWith(".J_old"))).toEqual([]);
  });
});
