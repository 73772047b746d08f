// A run of tests or of a benchmark that is killed: starts one of each, says its process id, and waits.
import { setStage, stageNames } from '@weir/agent';
import { makeNetwork } from '../envoy-config/support/network.ts';
import { startBroker } from '../kafka/support/broker.ts';
import { startKafkaProxy } from '../kafka/support/proxy.ts';
import { runName } from '../run-name.ts';

const network = makeNetwork('killed');
await Promise.all([
  setStage(stageNames(runName('killed'))),
  startKafkaProxy(network.proxy),
  startBroker({ namespace: network.server, address: network.serverAddress }),
]);
console.log('ready');
