/** A gRPC server of plain texts, in the namespace it is started in. `node grpc-server.ts PORT` */
import {
  type handleBidiStreamingCall,
  type handleClientStreamingCall,
  type handleServerStreamingCall,
  type handleUnaryCall,
  Server,
  ServerCredentials,
  type ServiceDefinition,
} from '@grpc/grpc-js';

const texts = {
  serialize: (text: string) => Buffer.from(text),
  deserialize: (bytes: Buffer) => bytes.toString(),
};
const method = (name: string, requestStream: boolean, responseStream: boolean) => ({
  path: `/pkg.Greeter/${name}`,
  requestStream,
  responseStream,
  requestSerialize: texts.serialize,
  requestDeserialize: texts.deserialize,
  responseSerialize: texts.serialize,
  responseDeserialize: texts.deserialize,
});

const service: ServiceDefinition = {
  say: method('Say', false, false),
  sayMany: method('SayMany', false, true),
  sayAll: method('SayAll', true, false),
  sayBoth: method('SayBoth', true, true),
  shout: method('Shout', false, false),
};

const server = new Server();
const say: handleUnaryCall<string, string> = (call, reply) => reply(null, `hello ${call.request}`);
const sayMany: handleServerStreamingCall<string, string> = (call) => {
  for (let index = 0; index < 100; index += 1) call.write(`${call.request} ${index}`);
  call.end();
};
const sayAll: handleClientStreamingCall<string, string> = (call, reply) => {
  let count = 0;
  call.on('data', () => {
    count += 1;
  });
  call.on('end', () => reply(null, `${count} messages`));
};
const sayBoth: handleBidiStreamingCall<string, string> = (call) => {
  call.on('data', (text: string) => call.write(`echo ${text}`));
  call.on('end', () => call.end());
};
const shout: handleUnaryCall<string, string> = (_call, reply) => reply(null, 'NEVER');

server.addService(service, { say, sayMany, sayAll, sayBoth, shout });
server.bindAsync(`0.0.0.0:${process.argv[2]}`, ServerCredentials.createInsecure(), (error) => {
  if (error !== null) throw error;
  console.log('listening');
});
