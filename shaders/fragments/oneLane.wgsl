// oneLane — what all lanes of a subgroup need alike, loaded by one of them: Mesa loads lane after lane.
//
//   elected    whether this lane loads it
//   ofElected  what the lane that did has loaded
fn elected() -> bool {
  return subgroupElect();
}

fn ofElected(value: vec4f) -> vec4f {
  return subgroupBroadcastFirst(value);
}
