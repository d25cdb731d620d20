import { InputError } from "../errors.ts";
import type { Gpu } from "./device.ts";
import type { Operand } from "./matrix.ts";

/** How a shader may touch a buffer, then the buffer's two axes: names of dims, or fixed sizes. */
export type Binding<D extends string> = readonly ["read" | "read_write", D | number, D | number];

/** What TypeScript says of a shader; `defineShader` proves that the WGSL says the same. */
export interface ShaderTable<D extends string, B extends string, S extends string> {
  /** Entry point, file, label, and first word of every error. */
  readonly name: string;
  /** The file with the entry point, then the fragments that its first line names. */
  readonly wgsl: readonly string[];
  /** Members of `struct Dims`, in order. */
  readonly dims: readonly D[];
  /** In the order of their binding numbers. */
  readonly buffers: Readonly<Record<B, Binding<D>>>;
  /** The `override` constants with their defaults. */
  readonly sizes: Readonly<Record<S, number>>;
}

/** One call of a shader. */
export interface ShaderCall<D extends string, B extends string, S extends string> {
  readonly dims: Readonly<Record<D, number>>;
  readonly buffers: Readonly<Record<B, Operand>>;
  /** Workgroups along x, y, z. */
  readonly groups: readonly [number, number?, number?];
  /** Floating-point operations, for pacing and progress. */
  readonly flops: number;
  readonly sizes?: Partial<Readonly<Record<S, number>>>;
}

/** A shader that can be called: it records one dispatch on the matrices' device. */
export interface Shader<D extends string, B extends string, S extends string> {
  (gpu: Gpu, call: ShaderCall<D, B, S>): void;
  readonly table: ShaderTable<D, B, S>;
}

/** The WGSL of a shader taken apart: what the device needs to build its pipeline. @internal */
export interface ShaderLayout {
  readonly name: string;
  readonly code: string;
  readonly dimsBinding: number;
  /** Type of each member of `Dims`. */
  readonly dimTypes: readonly ("u32" | "f32")[];
  readonly bindings: readonly {
    readonly binding: number;
    readonly access: "read" | "read_write" | "texture";
  }[];
}

/** WGSL's block comments nest, and its lines end in seven ways. */
function withoutComments(wgsl: string): string {
  let depth = 0;
  let inLine = false;
  const tokens =
    /\/\*|\*\/|(\/)(?=\/)|[^/*\n\v\f\r\u0085\u2028\u2029]+|([\n\v\f\r\u0085\u2028\u2029])|[^]/g;
  return wgsl.replace(tokens, (token, slash?: string, lineEnd?: string) => {
    if (inLine) inLine = lineEnd === undefined;
    else if (token === "/*") depth += 1;
    else if (depth > 0) depth -= token === "*/" ? 1 : 0;
    else if (slash !== undefined) inLine = true;
    else return token;
    return " ";
  });
}

function mustEqual(name: string, what: string, wgsl: readonly string[], table: readonly string[]) {
  if (wgsl.join() !== table.join())
    throw new InputError(
      `${name}: the WGSL has ${what} [${wgsl.join(", ")}], but its table says [${table.join(", ")}]. Make the two agree.`,
    );
}

/**
 * Ties a shader to its call. The WGSL is the truth: entry point, bindings with access and order, members of `Dims`
 * and `override` constants are read from it and compared with the table, when the module loads and without a device.
 *
 * @throws InputError where table and WGSL differ
 */
export function defineShader<D extends string, B extends string, S extends string>(
  table: ShaderTable<D, B, S>,
): Shader<D, B, S> {
  const { name } = table;
  const code = table.wgsl.join("\n");
  const bare = withoutComments(code);
  const entries = [...bare.matchAll(/@compute[^{]*?\bfn\s+(\w+)/g)].map((m) => m[1]);
  mustEqual(name, "the entry points", entries, [name]);

  const members = [
    ...(/struct\s+Dims\s*\{([^}]*)\}/.exec(bare)?.[1] ?? "").matchAll(/(\w+)\s*:\s*(\w+)/g),
  ];
  mustEqual(
    name,
    "the dims",
    members.map((m) => m[1]),
    table.dims,
  );
  const overrides = [...bare.matchAll(/\boverride\s+(\w+)\s*:/g)].map((m) => m[1]).sort();
  mustEqual(name, "the override sizes", overrides, Object.keys(table.sizes).sort());

  const declared = [
    ...bare.matchAll(
      /@group\(0\)\s*@binding\((\d+)\)\s*var(?:<\s*(uniform|storage)\s*(?:,\s*(\w+))?\s*>)?\s*(\w+)/g,
    ),
  ].sort((a, b) => Number(a[1]) - Number(b[1]));
  const stored = declared.filter((m) => m[2] !== "uniform");
  const buffers = Object.entries<Binding<D>>(table.buffers);
  mustEqual(
    name,
    "the buffers",
    stored.map((m) => `${m[4]}: ${m[3] ?? "read"}`),
    buffers.map(([key, [access]]) => `${key}: ${access}`),
  );
  const dims = declared.filter((m) => m[2] === "uniform");
  mustEqual(name, "uniforms", [`${dims.length}`], ["1"]);

  const layout: ShaderLayout = {
    name,
    code,
    dimsBinding: Number(dims[0][1]),
    dimTypes: members.map((m) => m[2] as "u32" | "f32"),
    bindings: stored.map((m) => ({
      binding: Number(m[1]),
      access: m[2] ? ((m[3] ?? "read") as "read" | "read_write") : "texture",
    })),
  };

  const shader = (gpu: Gpu, call: ShaderCall<D, B, S>): void => {
    for (const [key, [, rows, columns]] of buffers) {
      const matrix = call.buffers[key as B];
      const size = (axis: D | number) => (typeof axis === "number" ? axis : call.dims[axis]);
      if (matrix.gpu !== gpu)
        throw new InputError(
          `${name}: ${key} (${matrix.name}) belongs to another engine, but must be of the one that runs it. Run it there.`,
        );
      if (!(matrix.rows === size(rows) && matrix.columns === size(columns)))
        throw new InputError(
          `${name}: ${key} (${matrix.name}) is ${matrix.rows} × ${matrix.columns}, but ${rows} × ${columns} = ` +
            `${size(rows)} × ${size(columns)}. Hand in a matrix of that shape.`,
        );
    }
    gpu.queue.dispatch(
      layout,
      { ...table.sizes, ...call.sizes },
      buffers.map(([key]) => call.buffers[key as B].resource),
      table.dims.map((key) => call.dims[key]),
      [call.groups[0], call.groups[1] ?? 1, call.groups[2] ?? 1],
      call.flops,
    );
  };
  return Object.assign(shader, { table });
}
