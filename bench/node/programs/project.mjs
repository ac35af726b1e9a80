// A TypeScript project made on the fly, which the compiler checks as a load: deep recursion through
// hundreds of functions of its own.
import { packages } from '../engines.mjs';

const FILES = 12;

function source(number) {
  const imports = number > 0 ? `import { Model${number - 1} } from './file${number - 1}';` : '';
  const base = number > 0 ? `Model${number - 1}` : 'object';
  return `${imports}
export interface Shape${number}<T extends ${base}> {
  kind: 'k${number}'; value: T; next?: Shape${number}<T>;
}
export type Deep${number}<T> =
  T extends (infer U)[] ? Deep${number}<U> : { [K in keyof T]: T[K] };
export class Model${number} {
  private items = new Map<string, number[]>();
  constructor(readonly name: string, readonly parts: ReadonlyArray<{ id: number; tag?: string }>) {}
  add(key: string, ...values: number[]): this {
    const old = this.items.get(key) ?? [];
    this.items.set(key, [...old, ...values].sort((a, b) => a - b));
    return this;
  }
  *entries(): IterableIterator<[string, number]> {
    for (const [key, values] of this.items) yield [key, values.reduce((a, b) => a + b, 0)];
  }
  async load<T>(get: (id: number) => Promise<T>): Promise<Record<string, T>> {
    const found: Record<string, T> = {};
    for (const { id, tag = \`t\${id}\` } of this.parts) found[tag] = await get(id);
    return found;
  }
}
export const made${number} = [1, 2, 3]
  .map((id) => new Model${number}(\`m\${id}\`, [{ id }]).add('a', id));
`;
}

/** A function that compiles the project once more, a little changed each time. */
export function compiler() {
  const typescript = packages('typescript');
  const options = {
    target: typescript.ScriptTarget.ES2022, module: typescript.ModuleKind.CommonJS, strict: true,
  };
  const host = typescript.createCompilerHost(options);
  const files = Array.from({ length: FILES }, (_, n) => [`/project/file${n}.ts`, source(n)]);
  const sources = new Map(files);
  const read = host.getSourceFile;
  const libraries = new Map();
  let runs = 0;
  Object.assign(host, {
    fileExists: (file) => sources.has(file),
    readFile: (file) => sources.get(file),
    writeFile() {},
    getSourceFile(file, ...rest) {
      const text = sources.get(file);
      if (text) return typescript.createSourceFile(file, `${text}// ${runs}`, options.target, true);
      // The types of the language itself are read once, as a language server does.
      if (!libraries.has(file)) libraries.set(file, read.call(host, file, ...rest));
      return libraries.get(file);
    },
  });
  return () => {
    runs += 1;
    const program = typescript.createProgram([...sources.keys()], options, host);
    const problems = typescript.getPreEmitDiagnostics(program).length;
    program.emit();
    return problems;
  };
}
