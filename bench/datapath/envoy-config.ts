/** Bytes of a large answer. */
const BULK_BYTES = 1 << 20;

/** An Envoy that answers every request itself: a server that is faster than what stands before it. */
export function answeringServer(ports: readonly number[]): object {
  return {
    static_resources: {
      listeners: ports.map((port) => ({
        name: `http-${port}`,
        address: { socket_address: { address: '0.0.0.0', port_value: port } },
        filter_chains: [{ filters: [answeringFilter()] }],
      })),
    },
  };
}

function answeringFilter(): object {
  return {
    name: 'envoy.filters.network.http_connection_manager',
    typed_config: {
      '@type':
        'type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager',
      stat_prefix: 'server',
      generate_request_id: false,
      route_config: {
        max_direct_response_body_size_bytes: BULK_BYTES,
        virtual_hosts: [
          {
            name: 'all',
            domains: ['*'],
            routes: [
              {
                match: { path: '/v1/bulk' },
                direct_response: { status: 200, body: { inline_string: 'x'.repeat(BULK_BYTES) } },
              },
              {
                match: { prefix: '/' },
                direct_response: { status: 200, body: { inline_string: 'landed\n' } },
              },
            ],
          },
        ],
      },
      http_filters: [
        {
          name: 'envoy.filters.http.router',
          typed_config: { '@type': 'type.googleapis.com/envoy.extensions.filters.http.router.v3.Router' },
        },
      ],
    },
  };
}

/** A listener for redirected connections, and the mark that its sockets carry. */
export interface MarkedListener {
  readonly port: number;
  /** Null: connections come by iptables REDIRECT and go on from the proxy's own address. */
  readonly mark: number | null;
}

/** An Envoy that carries redirected TCP connections to where they were going, from the client's own address. */
export function tcpProxy(listener: MarkedListener): object {
  return {
    static_resources: {
      listeners: [tcpListener(listener)],
      clusters: [
        {
          name: 'original',
          type: 'ORIGINAL_DST',
          lb_policy: 'CLUSTER_PROVIDED',
          connect_timeout: '20s',
        },
      ],
    },
  };
}

function tcpListener({ port, mark }: MarkedListener): object {
  return {
    name: `tcp-${port}`,
    address: { socket_address: { address: mark === null ? '0.0.0.0' : '127.0.0.1', port_value: port } },
    ...(mark === null
      ? {}
      : {
          additional_addresses: [{ address: { socket_address: { address: '::1', port_value: port } } }],
          transparent: true,
          socket_options: [
            { description: 'mark', level: 1, name: 36, int_value: mark, state: 'STATE_PREBIND' },
          ],
        }),
    listener_filters: [
      {
        name: 'envoy.filters.listener.original_dst',
        typed_config: {
          '@type': 'type.googleapis.com/envoy.extensions.filters.listener.original_dst.v3.OriginalDst',
        },
      },
      ...(mark === null
        ? []
        : [
            {
              name: 'envoy.filters.listener.original_src',
              typed_config: {
                '@type': 'type.googleapis.com/envoy.extensions.filters.listener.original_src.v3.OriginalSrc',
                mark,
              },
            },
          ]),
    ],
    filter_chains: [
      {
        filters: [
          {
            name: 'envoy.filters.network.tcp_proxy',
            typed_config: {
              '@type': 'type.googleapis.com/envoy.extensions.filters.network.tcp_proxy.v3.TcpProxy',
              stat_prefix: 'tcp',
              cluster: 'original',
            },
          },
        ],
      },
    ],
  };
}
