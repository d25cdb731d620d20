import { adapters } from "../node.ts";

/** `ntk adapters`: what this machine can compute on, the default first. */
export async function adaptersCommand({ json }: { json?: boolean }): Promise<void> {
  const list = await adapters();
  if (json) {
    process.stdout.write(`${JSON.stringify({ adapters: list })}\n`);
    return;
  }
  for (const { description, kind, default: isDefault } of list)
    process.stdout.write(`${isDefault ? "*" : " "} ${description} (${kind})\n`);
}
