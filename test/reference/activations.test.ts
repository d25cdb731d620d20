import { describe, expect, test } from "vitest";
import {
  ACTIVATIONS,
  erf,
  erfc,
  erfcx,
  phi,
  phiPrime,
  phiPrimeMax,
  phiPrimeTerms,
  phiSecond,
  phiSecondMax,
  type ActivationName,
} from "./activations.ts";

/** x, erf, erfc, e^{x²} erfc by mpmath with 40 digits. */
const ERROR_FUNCTION = [
  [1.0e-10, 1.12837916709551262e-10, 0.999999999887162083, 0.999999999887162083],
  [0.1, 0.112462916018284898, 0.887537083981715102, 0.896456979969126637],
  [0.5, 0.520499877813046538, 0.479500122186953462, 0.615690344192925875],
  [0.75, 0.711155633653515132, 0.288844366346484868, 0.506937650293144806],
  [0.84375, 0.767225661232341633, 0.232774338767658367, 0.474368072026909268],
  [1.0, 0.842700792949714869, 0.157299207050285131, 0.427583576155807004],
  [1.5, 0.966105146475310727, 0.0338948535246892729, 0.321585416454317502],
  [2.0, 0.995322265018952734, 0.00467773498104726584, 0.255395676310505744],
  [3.0, 0.999977909503001415, 0.0000220904969985854414, 0.17900115118138995],
  [5.0, 0.99999999999846254, 1.53745979442803485e-12, 0.110704637733068626],
  [10.0, 1.0, 2.08848758376254476e-45, 0.0561409927438225859],
  [20.0, 1.0, 5.39586561160790093e-176, 0.0281743487410513193],
  [26.0, 1.0, 5.66319240885614285e-296, 0.0216835848505629066],
];

/** name, z, φ, φ′ by mpmath with 60 digits. */
const TABLE: [ActivationName, number, number, number][] = [
  ["tanh", -12.3, -0.99999999995856324, 8.2873510625401413e-11],
  ["tanh", -3.7, -0.9987782412811312, 0.002442024743370472],
  ["tanh", -0.7, -0.60436777711716347, 0.63473958998245862],
  ["tanh", -0.01, -0.0099996666799994605, 0.99990000666628891],
  ["tanh", 0.3, 0.2913126124515909, 0.91513696182662921],
  ["tanh", 1.9, 0.95623745812773904, 0.085609923673400518],
  ["tanh", 8.5, 0.99999991720124905, 1.6559749504014007e-7],
  ["erf", -12.3, -1.0, 2.2286552468127955e-66],
  ["erf", -3.7, -0.99999983284894209, 1.2792740845340064e-6],
  ["erf", -0.7, -0.67780119383741844, 0.69127486041053862],
  ["erf", -0.01, -0.011283415555849617, 1.1282663348205108],
  ["erf", 0.3, 0.32862675945912742, 1.0312609096189631],
  ["erf", 1.9, 0.99279042923525747, 0.030524740435447839],
  ["erf", 8.5, 1.0, 4.7280138688561637e-32],
  ["gelu", -12.3, -5.5703095560753054e-34, -6.8509009497921363e-33],
  ["gelu", -3.7, -0.00039885901386633659, -0.001463887267560392],
  ["gelu", -0.7, -0.16937455655615111, 0.023385898866340156],
  ["gelu", -0.01, -0.0049601064368536841, 0.49202142034750757],
  ["gelu", 0.3, 0.18537342665668578, 0.73232776682710985],
  ["gelu", 1.9, 1.8454385363495965, 1.0959534882558837],
  ["gelu", 8.5, 8.4999999999999999, 1.0000000000000007],
  ["sigmoid", -12.3, 4.5517237447998787e-6, 4.5517030266108297e-6],
  ["sigmoid", -3.7, 0.024127021417669197, 0.023544908255180529],
  ["sigmoid", -0.7, 0.3318122278318339, 0.22171287329310905],
  ["sigmoid", -0.01, 0.497500020833125, 0.24999375010416519],
  ["sigmoid", 0.3, 0.57444251681165898, 0.24445831169074587],
  ["sigmoid", 1.9, 0.86989152563700214, 0.11318025926193099],
  ["sigmoid", 8.5, 0.99979657302194479, 0.00020338559551980584],
  ["softplus", -12.3, 4.5517341039258377e-6, 4.5517237447998787e-6],
  ["softplus", -3.7, 0.024422845933779155, 0.024127021417669197],
  ["softplus", -0.7, 0.40318604888545791, 0.3318122278318339],
  ["softplus", -0.01, 0.68815968050786232, 0.497500020833125],
  ["softplus", 0.3, 0.85435524446852711, 0.57444251681165898],
  ["softplus", 1.9, 2.0393867582829605, 0.86989152563700214],
  ["softplus", 8.5, 8.5002034476721294, 0.99979657302194479],
  ["silu", -12.3, -5.5986202061038511e-5, -5.143422348251333e-5],
  ["silu", -3.7, -0.089269979245376034, -0.062989139126498764],
  ["silu", -0.7, -0.23226855948228372, 0.17661321652665758],
  ["silu", -0.01, -0.0049750002083312501, 0.49500008333208335],
  ["silu", 0.3, 0.17233275504349769, 0.64778001031888274],
  ["silu", 1.9, 1.652793898710304, 1.084934018234671],
  ["silu", 8.5, 8.4982708706865307, 1.0015253505838631],
  ["sin", -12.3, 0.26323179136580097, 0.96473261788660978],
  ["sin", -3.7, 0.52983614090849336, -0.84810003171040806],
  ["sin", -0.7, -0.64421768723769102, 0.76484218728448845],
  ["sin", -0.01, -0.0099998333341666649, 0.99995000041666528],
  ["sin", 0.3, 0.29552020666133956, 0.95533648912560602],
  ["sin", 1.9, 0.94630008768741452, -0.32328956686350334],
  ["sin", 8.5, 0.79848711262349029, -0.60201190268482362],
];

const SLOPE = 0.2;
const POINTS = Array.from({ length: 401 }, (_, i) => -8 + 0.04 * i);

describe("activations", () => {
  test("erf, erfc and erfcx are right to 1e-15 relative, in the tails too", () => {
    let worst = 0;
    for (const [x, wantErf, wantErfc, wantErfcx] of ERROR_FUNCTION) {
      worst = Math.max(
        worst,
        Math.abs(erf(x) / wantErf - 1),
        Math.abs(-erf(-x) / wantErf - 1),
        Math.abs(erfc(x) / wantErfc - 1),
        Math.abs(erfcx(x) / wantErfcx - 1),
        Math.abs(erfc(-x) - (1 + wantErf)),
      );
    }
    expect(worst).toBeLessThanOrEqual(1e-15);
  });

  test("φ is right to 6 ulp and φ′ to 6 ulp of its largest term", () => {
    for (const [name, z, value, prime] of TABLE) {
      const errors = [
        Math.abs(phi(name, SLOPE, z) - value) / Math.abs(value),
        Math.abs(phiPrime(name, SLOPE, z) - prime) / phiPrimeTerms(name, SLOPE, z),
      ];
      expect(Math.max(...errors), `${name}(${z}): ${errors}`).toBeLessThanOrEqual(6 * 2 ** -53);
    }
  });

  test("φ′ and φ″ are the central differences of φ and φ′", () => {
    const h = 1e-5;
    for (const name of ACTIVATIONS) {
      for (const z of POINTS) {
        if (Math.abs(z) <= h && name.endsWith("relu")) continue;
        const slope = (phi(name, SLOPE, z + h) - phi(name, SLOPE, z - h)) / (2 * h);
        const bend = (phiPrime(name, SLOPE, z + h) - phiPrime(name, SLOPE, z - h)) / (2 * h);
        expect(Math.abs(slope - phiPrime(name, SLOPE, z)), `${name}′(${z})`).toBeLessThan(1e-8);
        expect(Math.abs(bend - phiSecond(name, z)), `${name}″(${z})`).toBeLessThan(1e-8);
      }
    }
  });

  test("at the kink φ′ is 0 for relu and the slope for leaky_relu", () => {
    for (const zero of [0, -0]) {
      expect(phiPrime("relu", SLOPE, zero)).toBe(0);
      expect(phiPrime("leaky_relu", SLOPE, zero)).toBe(SLOPE);
    }
  });

  test("phiPrimeMax and phiSecondMax are not passed by any point of their interval", () => {
    const passed: string[] = [];
    for (const name of ACTIVATIONS) {
      for (const dz of [0, 1e-6, 0.05, 1, 20]) {
        for (const z of POINTS) {
          const prime = phiPrimeMax(name, SLOPE, z, dz) + 1e-15;
          const second = phiSecondMax(name, z, dz) + 1e-15;
          for (let s = -1; s <= 1; s += 0.125) {
            const x = z + s * dz;
            const inside =
              Math.abs(phiPrime(name, SLOPE, x)) <= prime && Math.abs(phiSecond(name, x)) <= second;
            if (!inside) passed.push(`${name} at ${x} in ${z} ± ${dz}`);
          }
        }
      }
    }
    expect(passed).toEqual([]);
  });
});
