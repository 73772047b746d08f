import { type Broker, type BrokerOptions, startBroker as startBrokerAt } from '@weir/agent';
import { entering } from '../../envoy-config/support/network.ts';
import { temporaryFolder } from '../../run-name.ts';

export type { Broker };

/** Starts a broker in a namespace and waits until it answers. */
export function startBroker({
  namespace,
  ...options
}: Omit<BrokerOptions, 'enter' | 'directory'> & { readonly namespace: string }): Promise<Broker> {
  return startBrokerAt({
    ...options,
    enter: entering(namespace),
    directory: temporaryFolder('broker'),
  });
}
