/** Real clients against the newest broker, with the filter in a real Envoy between them. */
import { brokerVersions } from '@weir/agent';
import { clientCases } from '../support/client-cases.ts';

clientCases({
  version: brokerVersions.newest,
  consoleProducer: 'org.apache.kafka.tools.ConsoleProducer',
  javaConsumers: ['classic', 'consumer', 'share'],
});
