// A server that says yes to everything and counts what it was sent. `node sink.mjs` prints where
// it listens.
import { once } from 'node:events';
import http from 'node:http';
import { pathToFileURL } from 'node:url';

/** `{ port, requests, bytes, close }` of a sink on a free port. */
export async function openSink() {
  const sink = { requests: 0, bytes: 0 };
  const server = http.createServer((request, response) => {
    request.on('data', (chunk) => { sink.bytes += chunk.length; });
    request.on('end', () => {
      sink.requests += 1;
      response.writeHead(200, { 'content-type': 'application/json' });
      response.end('{}');
    });
    // Some end with the connection in use.
    request.on('error', () => {});
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  sink.port = server.address().port;
  sink.close = () => {
    server.closeAllConnections();
    server.close();
  };
  return sink;
}

if (import.meta.url === pathToFileURL(process.argv[1]).href) {
  console.log((await openSink()).port);
}
