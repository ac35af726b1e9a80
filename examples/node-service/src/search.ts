// A search that forgives typing errors, by regular expressions.
import { PRODUCTS } from './catalog.js';

// What a product is, and what it is sold with.
const TEXTS = PRODUCTS.map(({ name, tags }, n) => {
  const others = Array.from({ length: 20 }, (_, k) => PRODUCTS[(n + k * k) % 300]!.name);
  return { name, text: [name, ...tags, 'with', ...others].join(', ') };
});

/** The names of products whose text matches each word, or but for one character. */
export function find(query: string): string[] {
  const patterns = query.split(/\s+/).filter(Boolean).map(forgiving);
  const found = TEXTS.filter(({ text }) => patterns.every((pattern) => pattern.test(text)));
  return found.map(({ name }) => name);
}

function forgiving(word: string): RegExp {
  const letters = [...word].map((letter) => letter.replace(/\W/, '\\$&'));
  const variants = letters.map((_, n) => (
    [...letters.slice(0, n), '\\w?', ...letters.slice(n + 1)].join('')));
  return new RegExp(`\\b(?:${variants.join('|')})`, 'i');
}
