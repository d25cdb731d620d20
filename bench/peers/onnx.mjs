// Writes an ONNX model: the few fields of onnx.proto that onnxruntime needs, in protobuf's wire format.

/** An unsigned number in groups of seven bits, lowest first. */
function varint(value) {
  const bytes = [];
  for (let rest = BigInt(value); ; rest >>= 7n) {
    const low = Number(rest & 127n);
    if (rest < 128n) return Uint8Array.from([...bytes, low]);
    bytes.push(low | 128);
  }
}

function concat(parts) {
  const whole = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
  let at = 0;
  for (const part of parts) {
    whole.set(part, at);
    at += part.length;
  }
  return whole;
}

const encode = (text) => new TextEncoder().encode(text);
const int = (field, value) => concat([varint(field * 8), varint(value)]);
const bytes = (field, value) => concat([varint(field * 8 + 2), varint(value.length), value]);
const text = (field, value) => bytes(field, encode(value));
const message = (field, parts) => bytes(field, concat(parts));
const float = (field, value) =>
  concat([varint(field * 8 + 5), new Uint8Array(Float32Array.of(value).buffer)]);

const FLOAT = 1;
const INT64 = 7;

/** An input's or output's name, type and shape. */
const valueInfo = (field, name, shape) =>
  message(field, [
    text(1, name),
    message(2, [
      message(1, [
        int(1, FLOAT),
        message(
          2,
          shape.map((size) => message(1, [int(1, size)])),
        ),
      ]),
    ]),
  ]);

function attribute([name, value]) {
  if (Array.isArray(value))
    return message(5, [text(1, name), ...value.map((one) => int(8, one)), int(20, 7)]);
  if (name === "alpha" || name === "beta")
    return message(5, [text(1, name), float(2, value), int(20, 1)]);
  return message(5, [text(1, name), int(3, value), int(20, 2)]);
}

/** A graph that grows by its methods, each of which gives the name of the tensor it made. */
export class Graph {
  #nodes = [];
  #tensors = [];
  #inputs = [];
  #outputs = [];
  #names = 0;

  /** A tensor that is handed in at each run. */
  input(name, shape) {
    this.#inputs.push(valueInfo(11, name, shape));
    return name;
  }

  /** A tensor that is part of the model, f32. */
  constant(values, shape) {
    return this.#tensor(Float32Array.from(values), FLOAT, shape);
  }

  /** A list of integers that is part of the model: a shape. */
  integers(values) {
    return this.#tensor(BigInt64Array.from(values, BigInt), INT64, [values.length]);
  }

  #tensor(data, type, shape) {
    const name = `t${this.#names++}`;
    const raw = new Uint8Array(data.buffer);
    this.#tensors.push(
      message(5, [
        ...shape.map((size) => int(1, size)),
        int(2, type),
        text(8, name),
        bytes(9, raw),
      ]),
    );
    return name;
  }

  /** One operator on tensors; attributes are integers, lists of integers, or the floats alpha and beta. */
  node(operator, inputs, attributes = {}, output = `t${this.#names++}`) {
    this.#nodes.push(
      message(1, [
        ...inputs.map((name) => text(1, name)),
        text(2, output),
        text(4, operator),
        ...Object.entries(attributes).map(attribute),
      ]),
    );
    return output;
  }

  output(name, shape) {
    this.#outputs.push(valueInfo(12, name, shape));
  }

  /** The model's file. */
  bytes() {
    return concat([
      int(1, 8), // ir_version
      message(7, [
        ...this.#nodes,
        text(2, "graph"),
        ...this.#tensors,
        ...this.#inputs,
        ...this.#outputs,
      ]),
      message(8, [int(2, 17)]), // opset_import, the default domain
    ]);
  }
}
