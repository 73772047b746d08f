/** Real clients against the newest broker, with the filter in a real Envoy between them. */
import { brokerVersions } from '@weir/agent';
import { clientCases } from '../support/client-cases.ts';

clientCases({
  version: brokerVersions.newest,
  javaPrograms: { [brokerVersions.newest]: ['classic', 'consumer', 'share'] },
  console: {
    producer: ['org.apache.kafka.tools.ConsoleProducer', '--bootstrap-server'],
    consumer: ['org.apache.kafka.tools.consumer.ConsoleConsumer', '--bootstrap-server'],
    pattern: '--include',
    consumerErrors: /Processed a total of/,
  },
});
