import { Command, CommanderError, Option } from "commander";
import { realpathSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { GpuError, InputError, NonFiniteError, PRECISIONS } from "../index.ts";
import { DivergenceError } from "../theory.ts";
import { adaptersCommand } from "./adapters.ts";
import { benchCommand, type BenchCommandOptions } from "./bench.ts";
import { densityCommand } from "./density.ts";
import { forwardCommand } from "./forward.ts";
import { gramCommand } from "./gram.ts";
import { jacobianCommand } from "./jacobian.ts";
import { limitCommand } from "./limit.ts";
import { predictCommand } from "./predict.ts";
import { reportCommand } from "./report.ts";
import { spectrumCommand } from "./spectrum.ts";
import { trainCommand, type TrainCommandOptions } from "./train.ts";
import { widthsCommand } from "./widths.ts";

type Action = (options: Record<string, never>, signal: AbortSignal) => Promise<void>;

/** @param end told the exit status of a command that did its work and found something wrong */
function program(signal: AbortSignal, end: (status: number) => void): Command {
  const ntk = new Command("ntk")
    .description(
      "The neural tangent kernel on any GPU: network and data in; Gram matrix, spectrum and error bars out.",
    )
    .exitOverride()
    .configureOutput({ writeErr: () => {} })
    .showSuggestionAfterError();
  const command = (name: string, about: string, action: Action): Command =>
    ntk
      .command(name)
      .description(about)
      .option("--json", "print one JSON object")
      .allowExcessArguments(false)
      .action(async (options: Record<string, never>) => action(options, signal));
  const onDevice = (made: Command, out = "--out <file>", whatOut = "write the array as .npy") =>
    made
      .option("--adapter <text>", "an adapter whose description contains the text")
      .option(out, whatOut);
  const withInputs = (made: Command) =>
    made
      .option("--network <file>", "the network, JSON")
      .option(
        "--inputs <file>",
        ".npy, .npz#name, IDX, .csv, mnist:0,1:512, circle:64, sphere:d:n:seed",
      )
      .option("--normalize <how>", "none, unit, sqrt-d or standard; default none");
  const withModel = (made: Command) =>
    withInputs(made)
      .option("--weights <path>", ".safetensors, or a folder of W1.npy, b1.npy, …")
      .option("--seed <number>", "draw the weights instead; default 0");
  const withGram = (made: Command) =>
    made
      .option("--method <route>", "auto, jacobian or layerwise; default auto")
      .option("--outputs <which>", "full or trace; default full");
  const withSpectrum = (made: Command) =>
    made
      .option("--top <count>", "eigenvalues at the upper end")
      .option("--bottom <count>", "eigenvalues at the lower end")
      .option("--all", "every eigenvalue")
      .addOption(new Option("--precision <how>", `${PRECISIONS.join(", ")}; default compensated`));

  command("adapters", "what this machine can compute on", adaptersCommand as Action);
  withModel(onDevice(command("forward", "the network's outputs", forwardCommand as Action)));
  withModel(onDevice(command("jacobian", "the Jacobian", jacobianCommand as Action)));
  withGram(withModel(onDevice(command("gram", "the tangent kernel", gramCommand as Action))))
    .option("--inputs2 <file>", "a second set, along the columns")
    .option("--plan", "say what it would take, and compute nothing")
    .option("--resume", "keep finished tiles when interrupted, and go on from them");
  withSpectrum(
    withGram(
      withModel(
        onDevice(
          command(
            "spectrum",
            "eigenvalues of the tangent kernel, with intervals",
            spectrumCommand as Action,
          ),
          "--out <file>",
          "write the eigenvalues as .npy, f64",
        ),
      ),
    ),
  )
    .option("--gram <file>", "the matrix itself, in place of network and inputs")
    .option("--vectors <file>", "write the eigenvectors as .npy")
    .option("--explain", "say what each interval's width comes from");
  withSpectrum(
    withGram(
      withModel(
        onDevice(
          command("report", "Gram matrix, spectrum and their pictures", reportCommand as Action),
          "--out <folder>",
          "where the files go",
        ),
      ),
    ),
  )
    .option("--steps <count>", "also train, with pictures: how many steps")
    .option("--rate <rate>", "a number, auto, or 2.5/lambda for 2.5 / λ_max; default auto")
    .option("--track <steps>", "look at the kernel every so many steps; default: about 50 looks")
    .option("--targets <file>", "default: of the inputs' labels");
  withGram(
    withModel(
      onDevice(
        command(
          "density",
          "spectral density of the tangent kernel, by random vectors",
          densityCommand as Action,
        ),
        "--out <file>",
        "write λ, density and its standard error as .npy, f64 [points, 3]",
      ),
    ),
  )
    .option("--gram <file>", "the matrix itself, in place of network and inputs")
    .option("--probes <count>", "random vectors; default 16")
    .option("--steps <count>", "Lanczos steps a vector; default 64")
    .option("--points <count>", "points of the grid; default 401")
    .option("--axis <how>", "auto, linear or log; default auto");
  withModel(
    onDevice(
      command("train", "gradient descent with the kernel tracked", (async (
        options: TrainCommandOptions,
      ) => {
        if (!(await trainCommand(options, signal))) end(1);
      }) as Action),
      "--out <file>",
      "write the trained weights as .safetensors",
    ),
  )
    .option("--targets <file>", "default: of the inputs' labels")
    .option("--steps <count>", "how many")
    .option("--rate <rate>", "a number, auto, or 2.5/lambda for 2.5 / λ_max")
    .option("--loss <name>", "mse (½ Σ r², no 1/N), logistic or softmax; default mse")
    .option("--momentum <number>", "from 0, below 1; default 0")
    .option("--batch <count>", "samples a step; default all")
    .option("--order <seed>", "seed of the order of batches; default 0")
    .option("--track <steps>", "look at the kernel every so many steps; default at the ends alone")
    .addOption(new Option("--precision <how>", `${PRECISIONS.join(", ")}; default compensated`))
    .option("--test <file>", "held-out samples, for accuracies")
    .option("--test-targets <file>", "default: of their labels")
    .option("--certify", "the convergence argument, inequality by inequality")
    .option("--require", "the same, and status 1 where one does not hold")
    .option("--checkpoint <folder>", "keep what it takes to go on, at each look")
    .option("--resume", "go on from there");
  onDevice(
    command(
      "predict",
      "what a network's linearization, or kernel regression, makes of test points",
      predictCommand as Action,
    ),
    "--out <file>",
    "write the predictions as .npy, f64",
  )
    .option("--network <file>", "the network, JSON")
    .option("--weights <path>", ".safetensors, or a folder of W1.npy, b1.npy, …")
    .option("--seed <number>", "draw the weights instead; default 0")
    .option("--train <file>", "the training points")
    .option("--targets <file>", "default: of their labels")
    .option("--test <file>", "the test points")
    .option("--test-targets <file>", "for the accuracy; default: of their labels")
    .option("--normalize <how>", "none, unit, sqrt-d or standard; default none")
    .option("--time <time>", "of the gradient flow; default inf")
    .option("--rate <rate>", "with --steps: that many steps of descent instead")
    .option("--steps <count>", "how many")
    .option("--kernel <which>", "empirical, or ntk or nngp of infinite width; default empirical");
  withInputs(command("limit", "the kernel of infinite width, on the CPU", limitCommand as Action))
    .option("--adapter <text>", "taken as by every command; no device is needed")
    .option("--out <file>", "write the kernel as .npy, f64")
    .option("--inputs2 <file>", "a second set, along the columns")
    .option("--kernel <which>", "ntk or nngp; default ntk");
  withInputs(
    command("widths", "how kernel and weights depend on the width", widthsCommand as Action),
  )
    .option("--adapter <text>", "an adapter whose description contains the text")
    .option("--targets <file>", "default: of the inputs' labels")
    .option("--from <width>", "the least width; default 64")
    .option("--to <width>", "the largest, doubled from the least on; default 1024")
    .option("--seeds <count>", "networks of each width; default 5")
    .option("--steps <count>", "steps of descent; default 400")
    .option("--rate <rate>", "as for train; default 0.5/lambda")
    .option("--depths <list>", "1,2,4: compare numbers of hidden layers instead, at one width")
    .option("--width <width>", "that width; default 64");
  ntk
    .command("bench")
    .description("what the machine can do, and what share of it the shaders reach")
    .argument("[names...]", "rows whose name and size contain one of these; machine: no row")
    .option("--adapter <text>", "an adapter whose description contains the text")
    .option("--json [file]", "print one JSON object, or write it to the file")
    .option("--compare <file>", "list what is slower or faster than in that file; slower: status 1")
    .option(
      "--peers [text]",
      "time other packages at the same work, or at rows whose name has the text; takes minutes",
    )
    .action(async (names: string[], options: BenchCommandOptions) =>
      end(await benchCommand(names, options, signal)),
    );
  for (const { options } of ntk.commands)
    for (const option of options)
      if (option.required && option.long) option.argParser(once(option.long));
  return ntk;
}

/** An option's value as it is. @throws InputError where it is empty, or given a second time */
const once =
  (flag: string) =>
  (value: string, before?: string): string => {
    if (value.trim() === "")
      throw new InputError(`${flag} is empty, but must say something. Give it a value.`);
    if (before !== undefined)
      throw new InputError(
        `${flag} is given twice, as ${before} and ${value}, but must be given once. Leave one out.`,
      );
    return value;
  };

/** Exit status and last words for what ended a command. */
function verdict(error: unknown, interrupted: boolean): { status: number; words: string } {
  if (interrupted) return { status: 130, words: "ntk: interrupted; nothing half-written is left." };
  const { message, code, stack } = error as Error & { code?: unknown };
  const line = (text: string) => text.replace(/\s*\n\s*/g, " ");
  if (error instanceof CommanderError)
    return {
      status: error.exitCode === 0 ? 0 : 2,
      words: `ntk: ${line(message.replace(/^error: |\.$/g, ""))}, but must be as \`ntk --help\` and \`ntk COMMAND --help\` say. Correct it.`,
    };
  if (error instanceof DivergenceError) return { status: 1, words: line(message) };
  if (error instanceof InputError || error instanceof NonFiniteError)
    return { status: 2, words: line(message) };
  if (error instanceof GpuError && error.code !== "shader")
    return { status: 3, words: line(message) };
  if (typeof code === "string" && /^E[A-Z]+$/.test(code))
    return { status: 2, words: `ntk: ${line(message)}` };
  return { status: 70, words: `${stack}\nntk: a defect of ours: ${line(message)}` };
}

/** What ends a run whose result cannot be written, as when the program that it is piped to has ended. */
function unwritable({ message }: Error): never {
  process.stderr.write(
    `ntk: stdout must be written, but fails: ${message}. Let its reader read to the end.\n`,
  );
  process.exit(2);
}

/**
 * The command line.
 *
 * @param argv what follows the program's name
 * @returns the exit status of `interface`: 0 done, 1 a verdict that fails, 2 bad input, 3 the device, 70 a defect, 130 interrupted
 */
export async function main(argv: readonly string[]): Promise<number> {
  const controller = new AbortController();
  const interrupt = () => {
    if (controller.signal.aborted) process.exit(130);
    controller.abort();
  };
  process.on("SIGINT", interrupt).on("SIGTERM", interrupt);
  // Not taken off at the end: the write may fail later.
  process.stdout.off("error", unwritable).on("error", unwritable);
  try {
    let status = 0;
    const ntk = program(controller.signal, (found) => (status = found));
    if (argv.length === 0) {
      process.stderr.write(
        `${ntk.helpInformation()}ntk: no command was given, but one must be. Choose one of these.\n`,
      );
      return 2;
    }
    await ntk.parseAsync([...argv], { from: "user" });
    return status;
  } catch (error) {
    const { status, words } = verdict(error, controller.signal.aborted);
    if (status !== 0) process.stderr.write(`${words}\n`);
    return status;
  } finally {
    process.off("SIGINT", interrupt).off("SIGTERM", interrupt);
  }
}

if (process.argv[1] && realpathSync(process.argv[1]) === fileURLToPath(import.meta.url))
  process.exitCode = await main(process.argv.slice(2));
