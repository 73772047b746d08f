/** Real clients against a broker of Kafka 3, whose other kinds of groups are a preview. */
import { brokerVersions } from '@weir/agent';
import { clientCases } from '../support/client-cases.ts';

clientCases({
  version: brokerVersions.middle,
  javaPrograms: { [brokerVersions.middle]: ['classic'] },
  console: {
    producer: ['kafka.tools.ConsoleProducer', '--bootstrap-server'],
    consumer: ['org.apache.kafka.tools.consumer.ConsoleConsumer', '--bootstrap-server'],
    pattern: '--include',
    consumerErrors: /Processed a total of/,
  },
});
