import { readFileSync } from "node:fs";
import { describe, expect } from "vitest";
import { readSafetensors } from "../../src/formats/safetensors.ts";
import { sample } from "../shaders/guarded.ts";
import { deviceTest, Folder, type Printed } from "./run.ts";

const folder = new Folder();
const tanh = { activation: "tanh", parameterization: "ntk", weightScale: 1.2, biasScale: 0.2 };
folder.network("net.json", { widths: [3, 24, 20, 1], ...tanh });
folder.network("two.json", { widths: [3, 16, 2], ...tanh });
folder.network("huge.json", {
  ...{ widths: [3, 64, 64, 1], activation: "relu", parameterization: "standard" },
  ...{ weightScale: 30, biasScale: null },
});
folder.array("x.npy", [12, 3], sample("normal", 36, 1));
folder.array("y.npy", [12, 1], sample("normal", 12, 2).map(Math.sign));
folder.array("test.npy", [40, 3], sample("normal", 120, 3));
folder.array("testY.npy", [40, 1], sample("normal", 40, 4).map(Math.sign));
folder.array(
  "hot.npy",
  [12, 2],
  Float32Array.from({ length: 24 }, (_, at) => ((at >> 1) % 2) ^ (at % 2)),
);
const DATA = "--inputs x.npy --targets y.npy";
const JOB = `train --network net.json ${DATA}`;

describe("train", () => {
  deviceTest(
    "tracks every k steps what the contract names, and writes weights that others read",
    async () => {
      const printed = await folder.json(
        `${JOB} --steps 25 --rate auto --track 10 --certify --test test.npy --test-targets testY.npy --out w.safetensors`,
      );
      expect(printed.tracked.map(({ step }: Printed) => step)).toEqual([0, 10, 20, 25]);
      for (const seen of printed.tracked) {
        for (const key of [
          ...[
            "loss",
            "lambdaMin",
            "lambdaMax",
            "lambdaMinBound",
            "jacobianNorm",
            "gramDrift",
            "parameterDrift",
          ],
          ...[
            "alignment",
            "centredAlignment",
            "bound",
            "gradientNorm",
            "velocity",
            "eigenvectorChange",
            "time",
          ],
        ])
          expect(Number.isFinite(seen[key]), key).toBe(true);
        expect(seen.boundOf).toMatch(/^(flow|descent)/);
        expect(seen.time).toBe(seen.step * printed.rate);
      }
      const [first] = printed.tracked;
      // The rate is rounded once.
      expect(Math.abs(printed.rate * first.lambdaMax - 1)).toBeLessThanOrEqual(2 ** -23);
      expect(printed.loss).toBeLessThan(first.loss);
      expect(printed.certificate.checks.length).toBeGreaterThanOrEqual(10);
      for (const { left, right, slack, formula } of printed.certificate.checks) {
        expect(formula).toMatch(/≤|Π|∫/);
        expect(slack).toBeLessThanOrEqual(right - left);
      }
      for (const name of ["network", "linearized"]) {
        expect(printed.accuracy[name]).toBeGreaterThanOrEqual(0);
        expect(printed.accuracy[name]).toBeLessThanOrEqual(1);
      }
      // The weights are those that the last look saw.
      const spectrum = await folder.json(
        "spectrum --network net.json --weights w.safetensors --inputs x.npy",
      );
      expect(spectrum.lambdaMax).toBe(printed.tracked.at(-1).lambdaMax);
    },
  );

  deviceTest("a certificate that fails ends with status 1, with its numbers printed", async () => {
    const { status, stdout } = await folder.ntk(`${JOB} --steps 20 --rate auto --require --json`);
    expect(status).toBe(1);
    const { certificate } = JSON.parse(stdout) as Printed;
    expect(certificate.holds).toBe(false);
    expect(certificate.checks.some(({ firstFailure }: Printed) => firstFailure?.step > 0)).toBe(
      true,
    );
  });

  deviceTest("stopped half way and resumed: the same bytes", async () => {
    const run = `${JOB} --steps 40 --rate 1.5/lambda --track 8 --momentum 0.3 --batch 5`;
    await folder.json(`${run} --checkpoint whole --out whole.safetensors`);
    // As if it had been stopped: fewer steps leave the checkpoint that a longer run had at that step.
    await folder.json(`${run.replace("--steps 40", "--steps 16")} --checkpoint part`);
    await folder.json(`${run} --checkpoint part --resume --out part.safetensors`);
    expect(folder.bytes("part.safetensors").equals(folder.bytes("whole.safetensors"))).toBe(true);
    for (const file of ["checkpoint.json", "step-40.safetensors", "step-40.rest.safetensors"])
      expect(folder.bytes(`part/${file}`).equals(folder.bytes(`whole/${file}`)), file).toBe(true);
    // Begun anew, a run would lose what the folder holds; and it cannot end before it began.
    const anew = await folder.ntk(`${run} --checkpoint part`);
    expect(anew.status).toBe(2);
    expect(anew.last).toMatch(/holds step 40, but would be lost\. Add --resume/);
    const short = await folder.ntk(
      `${run.replace("--steps 40", "--steps 16")} --checkpoint part --resume`,
    );
    expect(short.status).toBe(2);
    expect(short.last).toMatch(/--steps is 16, but the checkpoint in part is of step 40/);
    folder.write("part/checkpoint.json", "{");
    const broken = await folder.ntk(`${run} --checkpoint part --resume`);
    expect(broken.status).toBe(2);
    expect(broken.last).toMatch(/is no checkpoint/);
    await folder.json(`${run} --checkpoint other`);
    const other = await folder.ntk(`${run.replace("0.3", "0.4")} --checkpoint other --resume`);
    expect(other.status).toBe(2);
    expect(other.last).toMatch(/is of a run with other .* settings/);
  });

  deviceTest("killed, and resumed: the same bytes", async () => {
    const run = `${JOB} --steps 3000 --rate auto --track 20`.split(" ");
    const { child, done } = folder.start([...run, "--checkpoint", "killed", "--json"]);
    // Once the first checkpoints are there.
    const note = folder.at("killed/checkpoint.json");
    const stepOf = () => {
      try {
        return (JSON.parse(readFileSync(note, "utf8")) as Printed).step as number;
      } catch {
        return 0;
      }
    };
    while (stepOf() < 60 && child.exitCode === null) await new Promise((r) => setTimeout(r, 5));
    child.kill("SIGINT");
    const { status, stdout } = await done;
    expect(status === 130 || status === 0).toBe(true);
    if (status === 130) expect(stdout).toBe("");
    const rest = run.join(" ").replace("3000", "400");
    if (stepOf() < 400) await folder.json(`${rest} --checkpoint killed --resume`);
    await folder.json(`${rest} --checkpoint straight`);
    const tracked = (name: string) =>
      (JSON.parse(folder.bytes(`${name}/checkpoint.json`).toString()) as Printed).tracked;
    const [killed, straight] = [tracked("killed"), tracked("straight")];
    expect(killed.slice(0, straight.length)).toEqual(straight);
  });

  deviceTest("divergence is named at its step, with the weights that are kept", async () => {
    const { status, last, stdout } = await folder.ntk(
      `${JOB} --steps 4000 --rate 60/lambda --track 2 --checkpoint bad --json`,
    );
    expect({ status, stdout }).toEqual({ status: 1, stdout: "" });
    expect(last).toMatch(/^train: (the loss|the gradient) of step \d+ .*Lower the rate/);
    expect(last).toMatch(/The weights of step \d+ are kept in bad\./);
    const step = Number(/The weights of step (\d+)/.exec(last)![1]);
    const weights = readSafetensors(folder.bytes(`bad/step-${step}.safetensors`), "bad");
    for (const { data } of weights.values()) expect(data.every(Number.isFinite)).toBe(true);
    expect(Number(/of step (\d+)/.exec(last)![1])).toBeGreaterThanOrEqual(step);
  });

  deviceTest("softmax and logistic losses train, without bounds that are not theirs", async () => {
    const hot = await folder.json(
      "train --network two.json --inputs x.npy --targets hot.npy --steps 60 --rate auto --loss softmax --track 20",
    );
    expect(hot.loss).toBeLessThan(0.9 * hot.tracked[0].loss);
    for (const { loss, bound, boundOf } of hot.tracked) {
      expect(boundOf).toMatch(/^descent/);
      expect(loss).toBeLessThanOrEqual(bound * (1 + 1e-5));
    }
    const signs = await folder.json(`${JOB} --steps 30 --rate auto --loss logistic`);
    expect(signs.loss).toBeLessThan(signs.tracked[0].loss);
    expect(signs.certificate).toBeNull();
  });

  deviceTest("wrong use ends with status 2 and a sentence", async () => {
    const cases: [string, RegExp][] = [
      [`${JOB} --rate 1`, /--steps is missing/],
      [`${JOB} --steps 3`, /--rate is missing/],
      [`${JOB} --steps 3 --rate fast`, /--rate is fast, but must be a number above 0/],
      [`${JOB} --steps 3 --rate 1/mu`, /--rate is 1\/mu/],
      [`${JOB} --steps 3 --rate 1 --loss hinge`, /--loss is hinge/],
      [`${JOB} --steps 3 --rate 1 --resume`, /--resume is given without --checkpoint/],
      [
        `${JOB} --steps 3 --rate 1 --loss logistic --certify`,
        /--certify is given with --loss logistic/,
      ],
      [`${JOB} --steps 3 --rate 1 --batch 99`, /--batch is 99/],
      ["train --network net.json --inputs x.npy --steps 3 --rate 1", /--targets is missing/],
      [
        "train --network two.json --inputs x.npy --targets y.npy --steps 3 --rate 1",
        /1 targets a sample, but the network has 2/,
      ],
    ];
    for (const [args, words] of cases) {
      const { status, last, stdout } = await folder.ntk(args);
      expect({ args, status, stdout }).toEqual({ args, status: 2, stdout: "" });
      expect(last).toMatch(words);
    }
  });
});
