/** Real clients against the oldest broker, whose other kinds of groups are a preview. */
import { brokerVersions } from '@weir/agent';
import { clientCases } from '../support/client-cases.ts';

clientCases({
  version: brokerVersions.oldest,
  consoleProducer: 'kafka.tools.ConsoleProducer',
  javaConsumers: ['classic'],
});
