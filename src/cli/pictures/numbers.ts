const SUPERSCRIPTS = "⁰¹²³⁴⁵⁶⁷⁸⁹";

/** An integer power in raised digits: −3 → "⁻³". */
const raised = (power: number): string =>
  String(power).replace(/[-\d]/g, (c) => (c === "-" ? "⁻" : SUPERSCRIPTS[Number(c)]));

/** Lowered digits: 12 → "₁₂". */
export const subscript = (i: number): string =>
  String(i).replace(/\d/g, (digit) => "₀₁₂₃₄₅₆₇₈₉"[Number(digit)]);

/** A true minus, and the integer part in groups of three from five digits on. */
const signed = (text: string): string =>
  text
    .replaceAll("-", "−")
    .replace(/\d{5,}(?=$|\D)(?<![.]\d*)/g, (whole) => whole.replace(/(?<=\d)(?=(\d{3})+$)/g, ","));
const decade = (x: number): number => Math.floor(Math.log10(x));
const isPlain = (size: number): boolean => size === 0 || (size >= 1e-3 && size < 1e6);

/** "10⁻³": a tick of a logarithmic axis. */
export const powerOfTen = (power: number): string => `10${raised(power)}`;

/** An integer: 1234567 → "1,234,567". */
export const count = (n: number): string => signed(String(n));

/**
 * `x` to `digits` significant digits, trailing zeros dropped: "0.0125", "1.25 × 10⁷".
 * What is not a finite number reads "—".
 */
export function figures(x: number | null | undefined, digits = 4): string {
  if (x === null || x === undefined || !Number.isFinite(x)) return "—";
  const [mantissa, power] = x
    .toExponential(digits - 1)
    .split("e")
    .map(Number);
  const rounded = Number(x.toPrecision(digits));
  return signed(isPlain(Math.abs(x)) ? String(rounded) : `${mantissa} × ${powerOfTen(power)}`);
}

/** A bound to two significant digits, never below what it is. */
export function roundedUp(bound: number): string {
  if (!(bound > 0 && Number.isFinite(bound))) return figures(bound);
  const unit = decade(bound) - 1;
  // The division may land a hair above a whole number: that is no reason for the next.
  const units = Math.ceil(bound / 10 ** unit - 1e-9);
  return figures(Number(`${units}e${unit}`), 2);
}

/**
 * `x ± bound`, `x` written down to the bound's second digit: "12.3456 ± 0.0012", "(1.234567 ± 0.000012) × 10⁷".
 * The half width is rounded up by as much as `x` was rounded, so what is printed still holds the interval.
 */
export function withBound(x: number, bound: number): string {
  if (!Number.isFinite(x)) return "—";
  if (!(bound > 0 && Number.isFinite(bound))) return figures(x, 6);
  const size = Math.max(Math.abs(x), bound);
  const power = isPlain(size) ? 0 : decade(size);
  const decimals = Math.max(0, 1 + power - decade(bound));
  if (decimals > 12) return `${figures(x, 12)} ± ${figures(bound, 2)}`;
  const unit = 10 ** (power - decimals);
  const units = Math.round(x / unit);
  const half = Math.ceil(bound / unit + Math.abs(x / unit - units) - 1e-9);
  const text = [units, half].map((k) => (k / 10 ** decimals).toFixed(decimals)).join(" ± ");
  return signed(power === 0 ? text : `(${text}) × ${powerOfTen(power)}`);
}
