// Sends lines with pino-loki and winston-loki, as their users do: clients.mjs CLIENT URL
import pino from 'pino';
import winston from 'winston';
import LokiTransport from 'winston-loki';

const COUNT = 500;
const lines = Array.from(
  { length: COUNT },
  (_, n) => `line ${n} of ${COUNT}: "quoted" back\\slash tab\t é 🦀 <&> {"n": ${n * n}}`,
);

function sendPino(url) {
  const transport = pino.transport({
    target: 'pino-loki',
    options: { host: url, labels: { client: 'pino-loki' }, batching: { interval: 1 } },
  });
  const logger = pino(transport);
  for (const line of lines) logger.info({ side: 'left' }, line);
  // Ending the transport sends what is left; its worker then closes.
  return new Promise((done) => {
    transport.on('close', done);
    transport.end();
  });
}

async function sendWinston(client, url, json) {
  const transport = new LokiTransport({
    host: url,
    labels: { client },
    json,
    interval: 1,
    format: winston.format.printf((info) => info.message),
    onConnectionError: (error) => {
      console.error(error);
      process.exit(1);
    },
  });
  const logger = winston.createLogger({ transports: [transport] });
  for (const line of lines) logger.info(line);
  await transport.flush();
  logger.close();
}

const [client, url] = process.argv.slice(2);
const senders = {
  'pino-loki': () => sendPino(url),
  'winston-loki-json': () => sendWinston(client, url, true),
  'winston-loki-protobuf': () => sendWinston(client, url, false),
};
// The worker of a transport does not keep the process alive.
setInterval(() => {}, 1000);
await senders[client]();
process.exit(0);
