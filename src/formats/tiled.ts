import { createHash } from "node:crypto";
import { closeSync, existsSync, ftruncateSync, openSync, readFileSync, writeSync } from "node:fs";
import { appendFile, realpath, rename, rm, stat, writeFile } from "node:fs/promises";
import { InputError } from "../errors.ts";
import { npyHeader } from "./npy.ts";

/** A block of a row-major matrix. */
export interface Block {
  readonly row: number;
  readonly column: number;
  readonly rows: number;
  readonly columns: number;
  readonly values: Float32Array<ArrayBuffer>;
}

/** What a file of blocks will hold. */
export interface TiledFile {
  /** Shape that the file says. */
  readonly shape: readonly number[];
  /** Rows and values a row that its bytes are laid out in. */
  readonly rows: number;
  readonly columns: number;
  /** All that the values depend on: a run goes on only from blocks of the same job. */
  readonly job: readonly (string | Uint8Array)[];
  /** Keep what is finished when the run ends early, and go on from what an earlier one finished. */
  readonly resume: boolean;
}

/** Whether a file can be written there in any order and under another name first: not where a pipe or device lies. */
export const isFilePlace = (path: string): Promise<boolean> =>
  stat(path).then(
    (status) => status.isFile(),
    () => true,
  );

/**
 * A `.npy` file that is written block by block, under another name until it is whole: `PATH.partial`, and with `resume`
 * the list of finished blocks in `PATH.finished`.
 */
export class TiledNpy {
  readonly #path: string;
  readonly #file: TiledFile;
  readonly #handle: number;
  readonly #start: number;
  readonly #finished: Set<number>;
  #open = true;

  private constructor(path: string, file: TiledFile, handle: number, finished: Set<number>) {
    this.#path = path;
    this.#file = file;
    this.#handle = handle;
    this.#finished = finished;
    this.#start = npyHeader(file.shape, "f4").length;
  }

  /**
   * Opens the file, or the unfinished one of the same job.
   *
   * @throws InputError where an unfinished file of another job is in the way, or the place cannot be written
   */
  static async open(place: string, file: TiledFile): Promise<TiledNpy> {
    const path = await realpath(place).catch(() => place); // through a link, not over it
    const job = jobHash(file);
    // The list alone says nothing: the blocks lie in the other file.
    const found =
      file.resume && [".finished", ".partial"].every((end) => existsSync(`${path}${end}`));
    const finished = new Set<number>();
    if (found) {
      const [first, ...blocks] = readFileSync(`${path}.finished`, "utf8").split("\n");
      if (first !== job)
        throw new InputError(
          `${path}.finished: belongs to another job, but must be of this one to go on from. Remove it and ${path}.partial to begin anew.`,
        );
      // What follows the last line's end was torn.
      blocks.slice(0, -1).forEach((block) => finished.add(Number(block)));
    }
    try {
      const handle = openSync(`${path}.partial`, found ? "r+" : "w");
      // Written anew, so that nothing is appended to a torn line.
      const lines = [job, ...finished].map((line) => `${line}\n`);
      if (file.resume) await writeFile(`${path}.finished`, lines.join(""));
      const header = npyHeader(file.shape, "f4");
      writeSync(handle, header, 0, header.length, 0);
      ftruncateSync(handle, header.length + 4 * file.rows * file.columns);
      return new TiledNpy(path, file, handle, finished);
    } catch (error) {
      throw new InputError(
        `${path}: must be written, but fails: ${(error as Error).message}. Choose another place.`,
      );
    }
  }

  /** Whether a block was finished by an earlier run. */
  has(index: number): boolean {
    return this.#finished.has(index);
  }

  /** Writes the blocks that belong to one index; then it is finished. */
  async write(index: number, blocks: readonly Block[]): Promise<void> {
    const { columns } = this.#file;
    for (const block of blocks)
      for (let i = 0; i < block.rows; i++) {
        const bytes = 4 * block.columns;
        const from = block.values.byteOffset + i * bytes;
        const at = this.#start + 4 * ((block.row + i) * columns + block.column);
        writeWhole(this.#handle, new Uint8Array(block.values.buffer, from, bytes), at);
      }
    if (this.#file.resume) await appendFile(`${this.#path}.finished`, `${index}\n`);
  }

  /** Gives the whole file its name. */
  async finish(): Promise<void> {
    this.#close();
    await rename(`${this.#path}.partial`, this.#path);
    await rm(`${this.#path}.finished`, { force: true });
  }

  #close(): void {
    if (this.#open) closeSync(this.#handle);
    this.#open = false;
  }

  /** Ends early: what is finished stays where the run may go on later, and goes away elsewhere. */
  async abandon(): Promise<void> {
    this.#close();
    if (!this.#file.resume) await rm(`${this.#path}.partial`, { force: true });
  }
}

function writeWhole(handle: number, bytes: Uint8Array, at: number): void {
  for (let done = 0; done < bytes.length;)
    done += writeSync(handle, bytes, done, bytes.length - done, at + done);
}

function jobHash({ shape, rows, columns, job }: TiledFile): string {
  const sum = createHash("sha256").update(`${shape} ${rows} ${columns}`);
  for (const part of job) sum.update("\0").update(part);
  return sum.digest("hex");
}
