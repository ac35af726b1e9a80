export function plugin(): Promise<void>;
