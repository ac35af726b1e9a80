// A search that forgives typing errors, by regular expressions.
import { PRODUCTS } from './catalog.js';

/** The names of products that match each word, or but for one character. */
export function find(query: string): string[] {
  const patterns = query.split(/\s+/).filter(Boolean).map(forgiving);
  return PRODUCTS.map(({ name }) => name).filter((name) => (
    patterns.every((pattern) => pattern.test(name))));
}

function forgiving(word: string): RegExp {
  const letters = [...word].map((letter) => letter.replace(/\W/, '\\$&'));
  const variants = letters.map((_, n) => (
    [...letters.slice(0, n), '\\w?', ...letters.slice(n + 1)].join('')));
  return new RegExp(`\\b(?:${variants.join('|')})`, 'i');
}
