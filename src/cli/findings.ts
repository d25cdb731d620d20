import type { Finding } from "../index.ts";

/** A finding in words, for a person. */
export function inWords(finding: Finding): string {
  const listed = (pairs: readonly (readonly [number, number])[], count: number): string =>
    `${pairs.map(([i, j]) => `${i} and ${j}`).join(", ")}${count > pairs.length ? `, and ${count - pairs.length} pairs more` : ""}`;
  switch (finding.kind) {
    case "duplicates":
      return `samples that are the same: ${listed(finding.pairs, finding.count)}. H is singular; leave one of each pair out.`;
    case "parallel":
      return `samples that are multiples of each other: ${listed(finding.pairs, finding.count)}. Without biases, with ReLU or a linear network, H is singular; scale them to one length and leave one of each pair out, or add biases.`;
    case "antipodal":
      return `samples that are opposite: ${listed(finding.pairs, finding.count)}. Without biases, the kernel of one hidden layer of ReLU tends to a singular one; add biases or a layer.`;
    case "closest":
      return `the most alike samples: ${listed(finding.pairs, 1)}, ${finding.angle.toExponential(2)} rad apart.`;
    case "dead units":
      return `layer ${finding.layer}: ${finding.count} of ${finding.of} units are off for every sample.`;
    case "dead samples":
      return `layer ${finding.layer} is off for samples ${finding.samples.join(", ")}: their outputs do not depend on what lies below.`;
    case "few parameters":
      return `${finding.parameters} parameters for ${finding.order} rows: H is singular, of rank ${finding.parameters} at the most.`;
    case "rank":
      return `${finding.least} of ${finding.of} computed eigenvalues are above 0 for sure.`;
    case "unresolved":
      return `λ_min is within ${finding.bound.toExponential(1)} of 0, which ${finding.precision} cannot tell from 0${finding.next ? `; ${finding.next} might` : ""}.`;
  }
}
