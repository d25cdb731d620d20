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
    // A software adapter takes every core, but not all the time: two files at once take two thirds of the time of one
    // after the other, more only get into each other's way.
    maxWorkers: 2,
    testTimeout: 240_000,
    hookTimeout: 240_000,
  },
});
