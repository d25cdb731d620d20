import { defineConfig } from "vitest/config";
import { wgslVite } from "./esbuild.config.mjs";
import { prepareVulkan } from "./src/node/vulkan.ts";

// The forks inherit the environment that this sets.
prepareVulkan();

export default defineConfig({
  plugins: [wgslVite],
  test: {
    include: ["test/**/*.test.ts"],
    pool: "forks",
    // A software adapter takes every core: two files at once only get into each other's way.
    fileParallelism: false,
    testTimeout: 120_000,
    hookTimeout: 120_000,
  },
});
