// Compiled against the package's types, never run: what must be accepted, and what must not.
import * as sondage from 'sondage';
import { start, stop, withLabels, type Options, type Stats } from 'sondage';
import 'sondage/auto';

const options: Options = {
  serviceName: 'shop',
  push: ['pyroscope+http://pyroscope:4040', new URL('file:///tmp/profiles')],
  hz: 100,
  interval: 0.5,
  memory: '512KiB',
  labels: { zone: 'a', replica: 3, spare: undefined },
  engine: 'timer',
  signals: 'auto',
  token: process.env['TOKEN'] ?? null,
  budget: '1%',
  workers: false,
};
start(options);
start();

const sum: number = withLabels({ route: '/a' }, (a: number, b: number) => a + b, 1, 2);
const later: Promise<string> = withLabels({ job: 'x' }, async () => 'y');
const stats = sondage.stats();
const engine: string | undefined = stats.engine;
const samples: Stats['samples'] | undefined = stats.samples;
const profile: Promise<Buffer | null> = sondage.flush();
const labels: Record<string, string> = sondage.currentLabels();
const ended: Promise<void> = stop();
sondage.setLabels({ tenant: 'acme' });

// @ts-expect-error no such option
start({ sampleRate: 100 });
// @ts-expect-error no such engine
start({ engine: 'quick' });
// @ts-expect-error a label is no function
withLabels({ route: () => 1 }, () => 1);
// @ts-expect-error the second argument is missing
withLabels({}, (a: number, b: number) => a + b, 1);

export { ended, engine, labels, later, profile, samples, sum };
