// grpc-js as an xDS client: each line on standard input makes one call, whose answer is printed.
import { createInterface } from 'node:readline';
import { Client, credentials } from '@grpc/grpc-js';
import { register } from '@grpc/grpc-js-xds';

register();
const client = new Client('xds:///echo.test', credentials.createInsecure());
for await (const line of createInterface({ input: process.stdin })) {
  console.log(await say(line));
}
client.close();

function say(text) {
  return new Promise((done) => {
    const options = { deadline: Date.now() + 10_000 };
    client.makeUnaryRequest('/echo.Echo/Say', Buffer.from, String, text, options, (error, answer) => {
      done(error === null ? answer : `error ${error.code} ${error.details}`);
    });
  });
}
