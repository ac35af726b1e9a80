// Pages, by a small renderer of templates: {{name}}, {{#each list}}…{{/each}}, escaped.
import { PRODUCTS } from './catalog.js';

type Values = Record<string, unknown>;
type Part = (values: Values) => string;

const TEMPLATE = `<!doctype html><title>{{name}}</title><h1>{{name}}</h1><p>{{price}} EUR</p>
<ul>{{#each similar}}<li><a href="/products/{{id}}">{{name}}</a> {{price}} EUR
{{#each tags}}<i>{{.}}</i> {{/each}}</li>{{/each}}</ul>`;

const render = compile(TEMPLATE);

/** The page of a product. */
export function page(id: number): string {
  const product = PRODUCTS[id % PRODUCTS.length]!;
  const similar = PRODUCTS.filter((other) => other.tags.some((tag) => product.tags.includes(tag)));
  return render({ ...product, similar });
}

function compile(template: string): Part {
  return parse(template.split(/(\{\{.+?\}\})/))[0];
}

/** The parts up to the end of a block, and what is left. */
function parse(tokens: string[]): [Part, string[]] {
  const parts: Part[] = [];
  while (tokens.length > 0) {
    const [token, ...rest] = tokens as [string, ...string[]];
    const [, each, name] = /^\{\{(?:#each (\w+)|([\w.]+))\}\}$/.exec(token) ?? [];
    if (token === '{{/each}}') return [joined(parts), rest];
    if (each !== undefined) {
      const [inner, left] = parse(rest);
      parts.push(repeated(each, inner));
      tokens = left;
      continue;
    }
    parts.push(name === undefined ? () => token : (values) => escaped(String(values[name])));
    tokens = rest;
  }
  return [joined(parts), []];
}

function joined(parts: Part[]): Part {
  return (values) => parts.map((part) => part(values)).join('');
}

function repeated(name: string, inner: Part): Part {
  return (values) => (values[name] as unknown[]).map((value) => (
    inner(typeof value === 'object' ? (value as Values) : { '.': value }))).join('');
}

function escaped(text: string): string {
  return text.replace(/[&<>"]/g, (letter) => `&#${letter.charCodeAt(0)};`);
}
