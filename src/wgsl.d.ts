declare module "*.wgsl" {
  const text: string;
  export default text;
}

declare module "*/esbuild.config.mjs" {
  export function withoutComments(wgsl: string): string;
  export function withShortNames(wgsl: string): string;
  export const wgslVite: import("vite").Plugin;
  export const wgslEsbuild: import("esbuild").Plugin;
}
