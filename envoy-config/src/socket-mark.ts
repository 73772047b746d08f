import type { MessageInitShape } from '@bufbuild/protobuf';
import {
  SocketOption_SocketState,
  type SocketOptionSchema,
} from '@weir/xds-ts/envoy/config/core/v3/socket_option';
import type { SocketMark } from './settings.ts';

/** SOL_SOCKET and SO_MARK of Linux (asm-generic/socket.h). */
const solSocket = 1n;
const soMark = 36n;

/** The socket option that gives a socket the proxy's mark before it is bound. */
export function markOption(mark: SocketMark): MessageInitShape<typeof SocketOptionSchema> {
  return {
    description: 'proxy mark',
    level: solSocket,
    name: soMark,
    value: { case: 'intValue', value: BigInt(mark) },
    state: SocketOption_SocketState.STATE_PREBIND,
  };
}
