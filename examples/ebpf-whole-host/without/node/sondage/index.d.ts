export function start(settings: object): void;
export function currentLabels(): Record<string, string>;
export function withLabels<A extends unknown[], R>(labels: object, work: (...values: A) => R, ...values: A): R;
