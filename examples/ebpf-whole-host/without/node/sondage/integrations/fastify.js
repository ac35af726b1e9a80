// No labels.
export async function plugin() {}
