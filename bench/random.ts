/** Uniform numbers in [0, 1), the same for the same seed: multiples of the golden ratio's bits, mixed. */
export function random(seed: number): () => number {
  let weyl = seed >>> 0;
  return () => {
    weyl = (weyl + 0x9e3779b9) >>> 0;
    let word = weyl ^ (weyl >>> 16);
    word = Math.imul(word, 0x21f0aaad);
    word ^= word >>> 15;
    word = Math.imul(word, 0x735a2d97);
    word ^= word >>> 15;
    return (word >>> 0) / 2 ** 32;
  };
}

/** f32 numbers uniform in [−1, 1): neither zeros, which are too easy on a device, nor of one sign. */
export function uniform(length: number, seed: number): Float32Array<ArrayBuffer> {
  const next = random(seed);
  const values = new Float32Array(length);
  for (let i = 0; i < length; i++) values[i] = 2 * next() - 1;
  return values;
}
