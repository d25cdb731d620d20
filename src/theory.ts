export {
  operatorDensity,
  spectralDensity,
  type Density,
  type DensityOptions,
} from "./theory/density.ts";
