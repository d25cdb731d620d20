import { openGpu, type Gpu } from "../../src/index.ts";
import { wallClock } from "../clock.ts";
import { sizeText, type AdapterLabel, type BenchResult, type RowResult } from "../results.ts";
import { chosen } from "../rows.ts";
import { bench } from "../run.ts";
import { figure, fingerprintFigures, machineFigures, percent, shareText } from "../table.ts";

const find = <T extends HTMLElement>(id: string): T => document.getElementById(id) as T;
const form = find<HTMLFormElement>("form");
const start = find<HTMLButtonElement>("start");
const stop = find<HTMLButtonElement>("stop");
const names = find<HTMLInputElement>("names");
const json = find<HTMLAnchorElement>("json");
const progress = find<HTMLProgressElement>("progress");
const status = find("status");

/** An element with text or other elements in it. */
function element(
  name: string,
  content: string | readonly Node[] = [],
  className = "",
): HTMLElement {
  const made = document.createElement(name);
  if (className) made.className = className;
  made.append(...(typeof content === "string" ? [content] : content));
  return made;
}

function say(what: string, bad = false): void {
  status.textContent = what;
  status.classList.toggle("bad", bad);
}

const facts = (pairs: readonly (readonly [string, string])[]): HTMLElement[] =>
  pairs.map(([name, value]) => {
    const heading = element("th", name);
    heading.setAttribute("scope", "row");
    return element("tr", [heading, element("td", value)]);
  });

const HEAD = ["shader", "size", "ms", "±", "GFLOP/s", "GB/s", "share of the machine"];
find("head").append(
  element(
    "tr",
    HEAD.map((text) => element("th", text)),
  ),
);

function rowElement(row: RowResult): HTMLElement {
  const { name, size, ms, gflops, gbs, flops, share, error } = row;
  if (!ms) {
    const wrong = element("td", `wrong: error ÷ bound is ${figure(error)}`, "wrong");
    wrong.setAttribute("colspan", "5");
    return element("tr", [element("td", name), element("td", sizeText(size)), wrong]);
  }
  const filled = element("div");
  filled.style.width = `${Math.min(100, 100 * (share ?? 0))}%`;
  const bar = element("div", [filled], "track");
  bar.setAttribute("aria-hidden", "true");
  const cells = [
    ...[name, sizeText(size), figure(ms.median), percent(ms.noise / ms.median)],
    ...[flops > 0 ? figure(gflops) : "–", figure(gbs)],
  ].map((text) => element("td", text));
  const words = element("span", shareText(row));
  return element("tr", [...cells, element("td", [element("div", [bar, words], "share")])]);
}

/** What the browser tells of its adapter. */
async function labelled(): Promise<{ label: AdapterLabel; features: ReadonlySet<string> }> {
  const adapter = await navigator.gpu?.requestAdapter({ powerPreference: "high-performance" });
  if (!adapter)
    throw new Error("This browser has no WebGPU, or no adapter for it. Try another, or its flags.");
  const { vendor, architecture, description, device } = adapter.info;
  const words = [description, vendor, architecture, device].filter(Boolean).join(" ");
  const fallback = (adapter.info as { isFallbackAdapter?: boolean }).isFallbackAdapter ?? false;
  return {
    features: new Set(adapter.features),
    label: {
      ...{ description: words || "unnamed adapter", vendor, driver: "" },
      runtime: navigator.userAgent,
      software: fallback || /swiftshader|llvmpipe|basic render|software/i.test(words),
    },
  };
}

async function run(
  gpu: Gpu,
  { label, features }: Awaited<ReturnType<typeof labelled>>,
  signal: AbortSignal,
): Promise<BenchResult> {
  const wanted = names.value.split(",").map((name) => name.trim());
  const asked = wanted.filter((name) => name !== "");
  const { rows, unknown } = chosen(asked);
  if (unknown.length > 0) throw new Error(`No row is called "${unknown[0]}".`);
  let measured = 0;
  return bench(gpu, {
    ...{ clock: wallClock, adapter: label, commit: null, features, rows, signal },
    named: asked.length > 0,
    say: (what) => say(what),
    onMachine(found) {
      find("figures").replaceChildren(...facts(machineFigures(found.machine)));
      find("fingerprint").replaceChildren(...facts(fingerprintFigures(found.fingerprint)));
      find("machine").hidden = false;
      find("results").hidden = rows.length === 0;
    },
    onRow(row) {
      measured += 1;
      progress.value = measured / rows.length;
      find("rows").append(rowElement(row));
    },
  });
}

let controller = new AbortController();

async function measure(label: Awaited<ReturnType<typeof labelled>>): Promise<void> {
  controller = new AbortController();
  find("rows").replaceChildren();
  progress.value = 0;
  progress.hidden = stop.hidden = false;
  json.hidden = start.disabled = true;
  let gpu: Gpu | null = null;
  try {
    gpu = await openGpu({
      gpu: navigator.gpu,
      store: localStorage,
      runtime: navigator.userAgent,
    });
    const result = await run(gpu, label, controller.signal);
    if (json.href) URL.revokeObjectURL(json.href);
    json.href = URL.createObjectURL(
      new Blob([JSON.stringify(result, null, 1)], { type: "application/json" }),
    );
    json.hidden = false;
    const { rows, skipped } = result;
    const left = skipped.length > 0 ? `; ${skipped.length} left out as too slow here` : "";
    say(`Done: ${rows.length} rows${left}.`);
  } catch (error) {
    const stopped = controller.signal.aborted;
    say(stopped ? "Stopped." : (error as Error).message, !stopped);
  } finally {
    gpu?.destroy();
    progress.hidden = stop.hidden = true;
    start.disabled = false;
  }
}

stop.addEventListener("click", () => controller.abort());
labelled().then(
  (label) => {
    const { description, software } = label.label;
    find("adapter").textContent =
      `Adapter: ${description}${software ? ", which is software: no GPU computes here" : ""}`;
    start.disabled = false;
    form.addEventListener("submit", (event) => {
      event.preventDefault();
      void measure(label);
    });
  },
  (error: Error) => {
    find("adapter").textContent = "";
    say(error.message, true);
  },
);
