// everyLane — what all lanes of a subgroup need alike, loaded by each for itself. For classes without subgroups.
//
//   elected    whether this lane loads it
//   ofElected  what the lane that did has loaded
fn elected() -> bool {
  return true;
}

fn ofElected(value: vec4f) -> vec4f {
  return value;
}
