/** Makes one call of each kind and prints what came. `node grpc-client.ts HOST:PORT` */
import { Client, credentials, type ServiceError } from '@grpc/grpc-js';

const client = new Client(process.argv[2] ?? '', credentials.createInsecure());
const write = (text: string) => Buffer.from(text);
const read = (bytes: Buffer) => bytes.toString();
const path = (name: string) => `/pkg.Greeter/${name}`;
const failure = ({ code, details }: ServiceError) => `${code} ${details}`;

function unary(name: string): Promise<string> {
  return new Promise((done) => {
    client.makeUnaryRequest(path(name), write, read, 'you', (error, answer) =>
      done(error === null ? (answer ?? '') : failure(error)),
    );
  });
}

function collected(stream: NodeJS.ReadableStream): Promise<readonly string[]> {
  return new Promise((done) => {
    const answers: string[] = [];
    stream.on('data', (text: string) => answers.push(text));
    stream.on('end', () => done(answers));
    stream.on('error', (error: ServiceError) => done([failure(error)]));
  });
}

/** Each message only after the answer to the one before: both directions are open all the time. */
async function pingPong(times: number): Promise<number> {
  const stream = client.makeBidiStreamRequest(path('SayBoth'), write, read);
  for (let index = 0; index < times; index += 1) {
    const answered = new Promise<string>((done) => {
      stream.once('data', done);
    });
    stream.write(`${index}`);
    if ((await answered) !== `echo ${index}`) throw new Error('another answer');
  }
  const ended = new Promise<void>((done) => {
    stream.once('end', done);
  });
  stream.end();
  stream.resume();
  await ended;
  return times;
}

function clientStream(count: number): Promise<string> {
  return new Promise((done) => {
    const stream = client.makeClientStreamRequest(path('SayAll'), write, read, (error, answer) =>
      done(error === null ? (answer ?? '') : failure(error)),
    );
    for (let index = 0; index < count; index += 1) stream.write('x'.repeat(1_000));
    stream.end();
  });
}

const many = await collected(client.makeServerStreamRequest(path('SayMany'), write, read, 'you'));
console.log(
  JSON.stringify({
    say: await unary('Say'),
    sayMany: [many.length, many.at(-1)],
    sayAll: await clientStream(500),
    sayBoth: await pingPong(200),
    shout: await unary('Shout'),
    again: await unary('Say'),
    refusedStream: await collected(client.makeServerStreamRequest(path('ShoutMany'), write, read, 'you')),
  }),
);
client.close();
