import { readFileSync } from "node:fs";
import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { extname } from "node:path";

/** What a page can load, by URL path: text, bytes, or a `file:` URL that is read when asked for. */
export type Files = Record<string, string | Uint8Array | URL>;

const TYPES: Record<string, string> = {
  ".html": "text/html",
  ".js": "text/javascript",
  ".json": "application/json",
};

/** A small server on 127.0.0.1. */
export interface Served {
  /** Address of its `/`. */
  readonly url: string;
  close(): void;
}

/**
 * Answers with the files by their URL paths, at `/` with an empty page where none is given.
 *
 * @param told is given what a page posts
 */
export async function serve(
  files: Files,
  told: (text: string) => void = () => {},
): Promise<Served> {
  const server = createServer((request, response) => {
    if (request.method === "POST") {
      const parts: Buffer[] = [];
      request.on("data", (part: Buffer) => parts.push(part));
      request.on("end", () => {
        response.end();
        told(Buffer.concat(parts).toString());
      });
      return;
    }
    const path = new URL(request.url ?? "/", "http://localhost").pathname;
    const file = Object.hasOwn(files, path) ? files[path] : path === "/" ? "<!doctype html>" : null;
    const type = path === "/" ? ".html" : extname(path);
    response.writeHead(file === null ? 404 : 200, {
      "content-type": `${TYPES[type] ?? "application/octet-stream"}; charset=utf-8`,
    });
    response.end(file instanceof URL ? readFileSync(file) : (file ?? ""));
  });
  await new Promise<Server>((resolve, reject) => {
    server.once("error", reject);
    server.listen(0, "127.0.0.1", () => resolve(server));
  });
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/`,
    close() {
      server.closeAllConnections();
      server.close();
    },
  };
}

/** This process's environment without what it set for Dawn: a browser brings its own Vulkan, or asks the system's. */
export const browserEnv = (): Record<string, string> =>
  Object.fromEntries(
    Object.entries(process.env).filter(
      (entry): entry is [string, string] => entry[1] !== undefined && !/^VK_|^LD_/.test(entry[0]),
    ),
  );
