/** Real clients of its day and of ours against the first broker of Kafka 2. Java clients of Kafka 4 refuse it. */
import { brokerVersions } from '@weir/agent';
import { clientCases } from '../support/client-cases.ts';

clientCases({
  version: brokerVersions.oldest,
  javaPrograms: { [brokerVersions.oldest]: ['classic'], [brokerVersions.middle]: ['classic'] },
  console: {
    producer: ['kafka.tools.ConsoleProducer', '--broker-list'],
    consumer: ['kafka.tools.ConsoleConsumer', '--bootstrap-server'],
    pattern: '--whitelist',
    consumerErrors: /^/,
  },
  // Before brokers could be asked for their API versions: messages of format 0, Fetch without sessions.
  kcatFallback: '0.9.0',
});
