import handedWgsl from "../../shaders/fragments/handed.wgsl";
import oneLaneWgsl from "../../shaders/fragments/oneLane.wgsl";
import texturesWgsl from "../../shaders/fragments/textures.wgsl";
import texturedWgsl from "../../shaders/0-matrix/productTextures.wgsl";
import type { Gpu } from "../gpu/device.ts";
import { dispose, rounded, type Matrix, type Operand } from "../gpu/matrix.ts";
import type { KernelClass, Laid } from "../gpu/options.ts";

/** Columns of a panel, and values along the summed axis that a row of texels holds. */
const [PANEL, DEEP] = [256, 4];
/** Values along the summed axis that are added one to one; no end of a layer cuts them. */
const BLOCK = 64;
/** Rows of texels in a layer: as many as every device has. */
const LAYER = 8192;
/** Multiplications, and rows and columns, from which on a product is worth its copies. */
const WORTH = { work: 2 ** 22, narrow: 64 };

const ceil = (size: number, step: number): number => Math.ceil(size / step);

/** Rows of texels for `columns` columns of a matrix of `depth` rows. */
const rowsOf = (depth: number, columns: number): number =>
  ceil(columns, PANEL) * ceil(depth, BLOCK) * (BLOCK / DEEP);

/** Bytes of that. */
const bytesOf = (rows: number): number => 4 * PANEL * DEEP * rows;

/** A texture for one operand at a time. */
interface Sheet {
  readonly texture: GPUTexture;
  readonly view: GPUTextureView;
  readonly rows: number;
}

/** Textures that no product uses now, smallest first. */
const spare = new WeakMap<Gpu, Sheet[]>();
/** Textures kept for the next product: its two operands'. */
const KEPT = 2;

const TEXTURE = { COPY_DST: 0x2, STORAGE_BINDING: 0x8 } as const;

function takeSheet(gpu: Gpu, rows: number): Sheet {
  const free = spare.get(gpu) ?? [];
  spare.set(gpu, free);
  const at = free.findIndex((sheet) => sheet.rows >= rows);
  if (at >= 0) return free.splice(at, 1)[0];
  const layers = ceil(rows, LAYER);
  const height = layers > 1 ? LAYER : rows;
  return gpu.guard(`operands laid out: ${bytesOf(rows)} bytes`, () => {
    const texture = gpu.device.createTexture({
      label: "operands laid out",
      size: [PANEL, height, layers],
      format: "rgba32float",
      usage: TEXTURE.COPY_DST | TEXTURE.STORAGE_BINDING,
    });
    return { texture, view: texture.createView({ dimension: "2d-array" }), rows: height * layers };
  });
}

function giveSheets(gpu: Gpu, sheets: readonly Sheet[]): void {
  const free = spare.get(gpu)!;
  free.push(...sheets);
  free.sort((a, b) => a.rows - b.rows);
  for (const { texture, rows } of free.splice(0, Math.max(0, free.length - KEPT)))
    gpu.queue.release(texture, bytesOf(rows));
}

/** Columns of a matrix, the first of them a multiple of 16, and where they are to be copied. */
interface Sheetful {
  readonly matrix: Matrix;
  readonly column: number;
  readonly columns: number;
  readonly sheet: Sheet;
}

/**
 * Copies rows of columns as textures.wgsl reads them: of every fourth row at once, so that copies begin at multiples of
 * 256 bytes.
 *
 * @param first a multiple of 64
 */
function copied(
  { matrix, column: begin, columns, sheet }: Sheetful,
  first: number,
  rows: number,
): Operand {
  const { gpu, name, buffer, pitch } = matrix;
  const deep = rounded(rows) / DEEP;
  const end = begin + rounded(columns);
  gpu.queue.copy((encoder) => {
    let row = 0;
    for (let column = begin; column < end; column += PANEL) {
      for (let k = 0; k < DEEP; k++)
        for (let done = 0, count; done < deep; done += count) {
          const y = (row + done) % LAYER;
          const offset = 4 * ((first + DEEP * done + k) * pitch + column);
          const origin = [(PANEL / 4) * k, y, Math.floor((row + done) / LAYER)];
          count = Math.min(deep - done, LAYER - y);
          encoder.copyBufferToTexture(
            { buffer, offset, bytesPerRow: 4 * DEEP * pitch },
            { texture: sheet.texture, origin },
            [Math.min(PANEL, end - column) / 4, count],
          );
        }
      row += rowsOf(rows, PANEL);
    }
  });
  return { gpu, name, rows, columns: matrix.columns, resource: sheet.view };
}

/**
 * The class for processors that run shaders through Mesa: they load a texel at once, but the values of a buffer one by
 * one. Operands are copied to textures first.
 *
 * @param worth multiplications of a product, and its rows and columns, from which on it is worth the copies
 */
export const textureClass = ({ work, narrow } = WORTH): KernelClass => ({
  wgsl: [texturedWgsl, texturesWgsl, handedWgsl, oneLaneWgsl].join("\n"),
  sizes: { LANES: 8, SUBGROUP: 8 },
  tile: ({ LANES, SUBGROUP }) => [4 * SUBGROUP, 4 * LANES],
  // With 16 lanes, which Mesa has only when asked for, the upper eight load other texels than they should.
  plans: ({ features, adapterInfo: { isFallbackAdapter, subgroupMinSize } }) =>
    isFallbackAdapter && features.has("subgroups") && subgroupMinSize === 8
      ? [{ LANES: 8, SUBGROUP: 8 }]
      : [],
  otherwise: "productBroadcast",
  lay: (gpu, left, right, { row, column, rows, columns }, most): Laid | null => {
    const depth = left.rows;
    if (depth * rows * columns < work || Math.min(rows, columns) < narrow) return null;
    // The product itself says what is wrong with these.
    if ([left, right].some((each) => each.gpu !== gpu || !each.alive || each.rows !== depth))
      return null;
    const same = left === right && row === column;
    // Columns that both begin with are copied once.
    const wanted = same
      ? [{ matrix: left, column, columns: Math.max(rows, columns) }]
      : [
          { matrix: left, column: row, columns: rows },
          { matrix: right, column, columns },
        ];
    const fitting = LAYER * gpu.device.limits.maxTextureArrayLayers;
    if (wanted.some((each) => rowsOf(most, each.columns) > fitting)) return null;
    const full = wanted.map((each) => ({
      ...each,
      sheet: takeSheet(gpu, rowsOf(most, each.columns)),
    }));
    return {
      fill: (first) => {
        const [one, other = one] = full.map((each) =>
          copied(each, first, Math.min(most, depth - first)),
        );
        return { left: one, right: other };
      },
      [dispose]: () =>
        giveSheets(
          gpu,
          full.map(({ sheet }) => sheet),
        ),
    };
  },
});
