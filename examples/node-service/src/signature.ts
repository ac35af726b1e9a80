// Receipts that nobody else can make.
import { createHash, scrypt } from 'node:crypto';
import { promisify } from 'node:util';

const slowly = promisify<string, string, number, { N: number }, Buffer>(scrypt);

/** A receipt for an order: a slow hash, made by libuv's threads, and many quick ones. */
export async function sign(order: { products: number[] }): Promise<{ receipt: string }> {
  let chain = JSON.stringify(order);
  for (let round = 0; round < 2_000; round++) {
    chain = createHash('sha256').update(chain).digest('hex');
  }
  const key = await slowly(chain, 'shop', 32, { N: 2048 });
  return { receipt: key.toString('base64url') };
}
