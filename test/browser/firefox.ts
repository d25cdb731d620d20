import { spawn, spawnSync } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { browserEnv, serve, type Files } from "./serve.ts";

/** What switches WebGPU on where a release has it off, and keeps a fresh profile from asking anything. */
const PREFERENCES = {
  "dom.webgpu.enabled": true,
  "gfx.webgpu.ignore-blocklist": true,
  "browser.shell.checkDefaultBrowser": false,
  "datareporting.policy.dataSubmissionEnabled": false,
};

/** How long a page may take, in milliseconds. */
const MOST_MS = 240_000;

/** The Firefox that is installed: its command and its name with the version; null where there is none. */
export function firefox(): { readonly command: string; readonly name: string } | null {
  for (const command of ["firefox-esr", "firefox"]) {
    const { status, stdout } = spawnSync(command, ["--version"], { encoding: "utf8" });
    if (status === 0) return { command, name: stdout.trim() };
  }
  return null;
}

/**
 * Evaluates an expression in a page of a headless Firefox, which posts what comes of it.
 *
 * @param command as {@link firefox} found it
 * @param expression a promise, as text; what it resolves with must be JSON
 * @param mostMs how long it may take
 * @throws Error where the page fails, Firefox ends before it, or takes too long
 */
export async function inFirefox(
  command: string,
  files: Files,
  expression: string,
  mostMs = MOST_MS,
): Promise<unknown> {
  const profile = mkdtempSync(join(tmpdir(), "firefox-"));
  const lines = Object.entries(PREFERENCES).map(
    ([name, value]) => `user_pref(${JSON.stringify(name)}, ${JSON.stringify(value)});`,
  );
  writeFileSync(join(profile, "user.js"), lines.join("\n"));
  const page = `<!doctype html><script type="module">
    const told = await (${expression}).then((value) => ({ value }), (error) => ({ error: String(error) }));
    await fetch("/told", { method: "POST", body: JSON.stringify(told) });
  </script>`;
  let tell: (text: string) => void = () => {};
  const text = new Promise<string>((resolve) => (tell = resolve));
  const server = await serve({ ...files, "/": page }, (posted) => tell(posted));
  const browser = spawn(command, ["--headless", "--no-remote", "--profile", profile, server.url], {
    env: browserEnv(),
    stdio: "ignore",
  });
  const ended = new Promise<void>((resolve) => browser.once("close", () => resolve()));
  let timer: NodeJS.Timeout | undefined;
  try {
    const told = JSON.parse(
      await Promise.race([
        text,
        ended.then(() => Promise.reject(new Error(`${command} ended before its page`))),
        new Promise<never>((_, reject) => {
          timer = setTimeout(() => reject(new Error(`${command}: no answer`)), mostMs);
        }),
      ]),
    ) as { value?: unknown; error?: string };
    if (told.error !== undefined) throw new Error(`${command}: ${told.error}`);
    return told.value;
  } finally {
    clearTimeout(timer);
    browser.kill("SIGKILL"); // one that does not listen must not keep the tests waiting
    await ended;
    server.close();
    rmSync(profile, { recursive: true, force: true, maxRetries: 5 });
  }
}
