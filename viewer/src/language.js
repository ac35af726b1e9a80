// The language a function was written in, told from its file's extension and its module.

const EXTENSIONS = [
  ["Python", /\.(py|pyx|pyi)$|^<frozen /],
  ["JavaScript", /\.([cm]?[jt]s|[jt]sx|vue)$|^node:/],
  ["Java", /\.(java|kt|kts|scala|groovy|clj)$/],
  ["Go", /\.go$/],
];
// The kernel's modules are named in brackets like itself; so is memory that is no file.
const KERNEL = /^\[(?!vdso|vsyscall|stack|heap|anon|unknown|other|none|jit)[\w.-]+\]$|\bvmlinux|\.ko(\.\w+)?$/;
const ARCHIVE = /\.(jar|class|jmod)$/;

/** "kernel", "Python", "JavaScript", "Java", "Go" or "native"; empty for what stands for no code. */
export function languageOf({ name, file, module }) {
  const inBrackets = /^\[(.*)\]$/.exec(name);
  if (KERNEL.test(module) || name === "[kernel]") return "kernel";
  if (inBrackets && file === "" && (module === "" || module === name)) return "";
  const known = EXTENSIONS.find(([, extension]) => extension.test(file));
  if (known) return known[0];
  return ARCHIVE.test(module) ? "Java" : "native";
}
