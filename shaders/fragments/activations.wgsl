// activations — φ and φ′ of the network, chosen when the pipeline is made. Needs transcendental.wgsl.
//
// error |computed − φ(z)| ≤ 2⁻²³ · b · |φ(z)| + 2⁻¹¹⁹, likewise φ′ with b′ and the sum of its terms' sizes: b, b′ and the
//       exceptions are `activationError` in src/stages/0-activation.ts, which the tests hold these functions to
override ACTIVATION: u32 = 0u; // the place of the name in ACTIVATIONS of src/stages/0-activation.ts
override SLOPE: f32 = 0.01; // leaky_relu below zero

fn phi(z: f32) -> f32 {
  switch ACTIVATION {
    case 0u: {
      return max(z, 0.0);
    }
    case 1u: {
      return select(SLOPE * z, z, z > 0.0);
    }
    case 2u: {
      return tanhOf(z);
    }
    case 3u: {
      return erfOf(z);
    }
    case 4u: {
      return z * normalBelow(z);
    }
    case 5u: {
      return logistic(z);
    }
    case 6u: {
      return max(z, 0.0) + logOnePlus(expOf(-abs(z)));
    }
    case 7u: {
      return z * logistic(z);
    }
    case 8u: {
      return sinOf(z, 0u);
    }
    default: {
      return z;
    }
  }
}

fn phiPrime(z: f32) -> f32 {
  switch ACTIVATION {
    case 0u: {
      return f32(z > 0.0);
    }
    case 1u: {
      return select(SLOPE, 1.0, z > 0.0);
    }
    case 2u: {
      return 4.0 * logistic(2.0 * z) * logistic(-2.0 * z);
    }
    case 3u: {
      return 1.1283791671 * gaussian(1.0, z);
    }
    case 4u: {
      return normalBelow(z) + z * (0.3989422804 * gaussian(0.5, z));
    }
    case 5u: {
      return logistic(z) * logistic(-z);
    }
    case 6u: {
      return logistic(z);
    }
    case 7u: {
      return logistic(z) * (1.0 + z * logistic(-z));
    }
    case 8u: {
      return sinOf(z, 1u);
    }
    default: {
      return 1.0;
    }
  }
}
