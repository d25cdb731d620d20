import type { Gpu } from "../../src/index.ts";
import { add, storeProduct } from "../../src/stages/0-product.ts";
import { tuned } from "../../src/stages/0-search.ts";
import { hadamard } from "../../src/stages/3-gram.ts";
import { uniform } from "../random.ts";
import type { Prepared, Row } from "../run.ts";
import { bytesOf, onDevice, transposed } from "./operands.ts";
import { checkProduct } from "./verify.ts";

const meter = async () => {};

/** Matrix sizes that products are timed at: powers of two, and one that is none. */
const ORDERS = [256, 512, 1024, 1056];
const DEPTHS = [512, 2048, 16384];
const EPILOGUES = ["store", "add", "hadamard"] as const;
/** The sizes that every epilogue is timed at, and those that other packages are. */
const EVERY = [
  [512, 2048],
  [1024, 2048],
];
const VERSUS = [
  [512, 512],
  [512, 16384],
  [1024, 2048],
];
const among = (sizes: readonly (readonly number[])[], n: number, k: number) =>
  sizes.some((size) => size[0] === n && size[1] === k);

/** Which kernel class computes products, and with which sizes; searched for on an engine's first call. */
export async function classOf(gpu: Gpu): Promise<Pick<Prepared, "class" | "sizes">> {
  const { plan } = await tuned(gpu);
  return { class: plan.class, sizes: { ...plan.sizes } };
}

/** leftᵀ right of two matrices (`gemm`), or J Jᵀ, its lower triangle (`jjt`); with each epilogue. */
export const productRows: readonly Row[] = (["jjt", "gemm"] as const).flatMap((shape) =>
  EPILOGUES.flatMap((epilogue) =>
    ORDERS.flatMap((n) =>
      DEPTHS.filter((k) => epilogue === "store" || among(EVERY, n, k)).map((k) =>
        productRow(shape, epilogue, n, k),
      ),
    ),
  ),
);

export function productRow(
  shape: "gemm" | "jjt",
  epilogue: (typeof EPILOGUES)[number],
  n: number,
  k: number,
): Row {
  const triangle = shape === "jjt";
  const touched = { store: 1, add: 2, hadamard: 3 }[epilogue];
  const draw = () => {
    const left = uniform(k * n, 1);
    return { left, right: triangle ? left : uniform(k * n, 2) };
  };
  return {
    name: `product ${shape} ${epilogue}`,
    size: { n, k },
    flops: 2 * n * n * k,
    bytes: (triangle ? 1 : 2) * bytesOf(k, n) + touched * bytesOf(n, n),
    traffic: "read",
    // J's rows are samples, and so they are the packages'.
    work:
      epilogue !== "store" || !among(VERSUS, n, k)
        ? undefined
        : () => {
            const { left, right } = draw();
            return triangle
              ? { kind: "jjt", n, k, j: transposed(left, k, n) }
              : { kind: "gemm", n, k, m: n, a: transposed(left, k, n), b: right };
          },
    async make(gpu) {
      const kernel = await classOf(gpu);
      const values = draw();
      const own = onDevice(gpu);
      const left = own.upload("left", k, n, values.left);
      const right = triangle ? left : own.upload("right", k, n, values.right);
      const out = own.matrix("out", n, n);
      // Powers of two, so that the product by them is exact.
      const weights = Float32Array.from({ length: n }, (_, i) => 2 ** ((i % 3) - 1));
      const factor =
        epilogue === "hadamard"
          ? own.upload(
              "factor",
              n,
              n,
              Float32Array.from(
                { length: n * n },
                (_, at) => weights[Math.floor(at / n)] * weights[at % n],
              ),
            )
          : null;
      const run = async () => {
        const buffers = { left, right, out };
        if (factor) await hadamard(gpu, { buffers: { ...buffers, factor }, triangle }, meter);
        else if (epilogue === "add") await add(gpu, { buffers, triangle }, meter);
        else await storeProduct(gpu, { buffers, triangle }, meter);
      };
      return {
        ...kernel,
        run,
        destroy: own.destroy,
        async check() {
          await run();
          return checkProduct(
            {
              ...{ depth: k, rows: n, columns: n, ...values, triangle },
              ...(factor ? { weights } : {}),
            },
            await gpu.read(out),
          );
        },
      };
    },
  };
}
