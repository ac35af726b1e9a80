// What the shop sells, as JSON.

export interface Product {
  id: number;
  name: string;
  price: number;
  tags: string[];
  stock: Record<string, number>;
}

const TOWNS = ['lyon', 'oslo', 'riga', 'turin'];
const WORDS = ['small', 'green', 'hammer', 'saw', 'long', 'nail', 'box', 'steel', 'wood', 'screw'];

export const PRODUCTS: Product[] = Array.from({ length: 300 }, (_, id) => ({
  id,
  name: name(id),
  price: 5 + ((id * 37) % 400) / 10,
  tags: [WORDS[id % 10]!, WORDS[(id * 3) % 10]!, `series-${id % 17}`],
  stock: Object.fromEntries(TOWNS.map((town, n) => [town, (id * (n + 3)) % 50])),
}));

function name(id: number): string {
  return [id % 10, (id * 7 + 1) % 10, Math.floor(id / 10) % 10].map((n) => WORDS[n]).join(' ');
}

/** The catalog of a day, as text: a copy of it with that day's prices. */
export function catalog(day: number): string {
  const copy: Product[] = JSON.parse(JSON.stringify(PRODUCTS));
  for (const product of copy) product.price *= 1 + (day % 7) / 100;
  return JSON.stringify(copy);
}

/** What is there after deliveries. */
export function restocked(day: number, deliveries: { product: number; count: number }[]): string {
  const stock: Product[] = JSON.parse(catalog(day));
  for (const { product, count } of deliveries) stock[product]!.stock['lyon']! += count;
  return JSON.stringify(deliveries.map(({ product }) => stock[product]));
}
