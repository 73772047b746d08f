import { randomUUID } from 'node:crypto';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type Broker, type BrokerOptions, startBroker as startBrokerAt } from '@weir/agent';
import { entering } from '../../envoy-config/support/network.ts';

export type { Broker };

/** Starts a broker in a namespace and waits until it answers. */
export function startBroker({
  namespace,
  ...options
}: Omit<BrokerOptions, 'enter' | 'directory'> & { readonly namespace: string }): Promise<Broker> {
  return startBrokerAt({
    ...options,
    enter: entering(namespace),
    directory: join(tmpdir(), `weir-broker-${randomUUID()}`),
  });
}
